/** The style of the page of the calls. */
export const STYLE = `:root{color-scheme:light dark;--line:#8884;--soft:#8882;--link:#0a58ca}
@media(prefers-color-scheme:dark){:root{--link:#7db4ff}}
*{box-sizing:border-box}
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:64rem;padding:1rem}
a{color:var(--link)}
h2{border-bottom:1px solid var(--line);margin-top:2.5rem}
h4{margin:1rem 0 .25rem}
code,pre{font:.875em/1.45 ui-monospace,monospace}
code{overflow-wrap:anywhere}
pre{background:var(--soft);border-radius:.4rem;max-height:24rem;overflow:auto;padding:.75rem}
small{opacity:.75}
nav ul{display:flex;flex-wrap:wrap;gap:.25rem 1rem;list-style:none;padding:0}
details{border:1px solid var(--line);border-radius:.4rem;margin:.5rem 0;padding:0 .75rem}
summary{cursor:pointer;padding:.5rem 0}
summary b{display:inline-block;min-width:4rem}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%}
th,td{border-top:1px solid var(--line);padding:.35rem .5rem .35rem 0;text-align:left;vertical-align:top}
td:first-child{white-space:nowrap}
`;
