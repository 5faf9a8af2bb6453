/** What stands around every page: the navigation, who reads, how fresh the page is. */
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Freshness } from "./freshness.tsx";
import { isHelpOpen } from "./keyboard.ts";
import { Help } from "./keyboard-help.tsx";
import { LogIn } from "./log-in.tsx";
import { codeOf, PAGES, type Page, type PageCode, pageAt } from "./pages.ts";
import { Confirm } from "./parts/confirm.tsx";
import { Fault } from "./parts/fault.tsx";
import { Icon } from "./parts/icon.tsx";
import { Notice } from "./parts/notice.tsx";
import { Preferences } from "./parts/preferences.tsx";
import { addressOf, focusHeading, place } from "./router.ts";
import { logOut, may, session } from "./session.ts";
import { texts } from "./texts.ts";

export function Shell() {
  const { value } = session;
  if (value.state === "asking" || value.state === "asking tabs")
    return <main class="asking">{texts.value.common.loading}</main>;
  if (value.state === "needs key") return <LogIn />;
  if (value.state === "fault")
    return (
      <main class="asking">
        <Fault {...value.trouble} />
      </main>
    );
  const { skip } = texts.value.shell;
  return (
    <div class="shell">
      <a class="skip" href="#content">
        {skip}
      </a>
      <Navigation />
      <div class="content" id="content" tabIndex={-1}>
        <Freshness />
        <Content />
      </div>
      <Notice />
      <Confirm />
      <Help />
    </div>
  );
}

function Navigation() {
  const menu = useRef<HTMLDetailsElement>(null);
  const here = place.value.page;
  const { navigation, pages, more, title } = texts.value.shell;
  // On a phone the menu would cover the page that was chosen in it.
  useEffect(() => {
    if (here !== undefined && menu.current) menu.current.open = false;
  }, [here]);
  const links = (isMain: boolean) =>
    PAGES.filter((page) => Boolean(page.isMain) === isMain && may(page.needs)).map(({ path, name, icon }) => (
      <a key={path} href={addressOf(path)} aria-current={path === here ? "page" : undefined}>
        <Icon name={icon} />
        {pages[name]}
      </a>
    ));
  return (
    <nav class="navigation" aria-label={navigation}>
      <a class="brand" href={addressOf("")}>
        <Flower /> {title}
      </a>
      {links(true)}
      <details ref={menu} open={matchMedia("(min-width: 56rem)").matches}>
        <summary>
          <Icon name="more" />
          {more}
        </summary>
        <div class="menu">
          {links(false)}
          <Foot />
        </div>
      </details>
    </nav>
  );
}

function Foot() {
  const { who: whoText, noKey, logOut: out, keys, documents } = texts.value.shell;
  const { value } = session;
  if (value.state !== "in") return null;
  const { key, role, version } = value.who;
  return (
    <div class="foot">
      <Preferences />
      <button type="button" class="quiet" onClick={() => (isHelpOpen.value = true)}>
        <Icon name="keys" /> {keys.hint} <kbd>?</kbd>
      </button>
      <a href="/docs">{documents}</a>
      <p class="soft">
        {key === null ? noKey : whoText(key, role)} · {version}
      </p>
      {key !== null && (
        <button type="button" class="quiet" onClick={logOut}>
          <Icon name="out" /> {out}
        </button>
      )}
    </div>
  );
}

const TURNS = [0, 72, 144, 216, 288];
const Flower = () => (
  <svg class="flower" viewBox="0 0 32 32" aria-hidden="true">
    {TURNS.map((turn) => (
      <ellipse key={turn} cx="16" cy="7.5" rx="4.6" ry="6.5" transform={`rotate(${turn} 16 16)`} />
    ))}
    <circle cx="16" cy="16" r="3.6" />
  </svg>
);

/** The page of the place, which is loaded when it is opened first. */
function Content() {
  const { page: path, id } = place.value;
  const page = pageAt(path);
  const code = page && codeOf(page, id);
  const [tried, setTried] = useState<{ code?: PageCode; fault?: unknown }>({});
  const isRefused = page && !may(page.needs);
  const isLoading = code && !isRefused && !code.Component && tried.code !== code;
  useEffect(() => {
    if (!isLoading) return;
    code.load().then(
      () => setTried({ code }),
      (fault) => setTried({ code, fault }),
    );
  }, [code, isLoading]);
  const { title, pages } = texts.value.shell;
  useEffect(() => {
    document.title = page ? `${pages[page.name]} · ${title}` : title;
  }, [page, pages, title]);
  useLayoutEffect(() => {
    if (!isLoading) focusHeading();
  });
  if (!code) return <Nothing />;
  if (isRefused) return <Refused needs={page.needs} />;
  if (isLoading) return null;
  if (!code.Component) return <NotLoaded fault={tried.fault} />;
  return <code.Component key={id} id={id} />;
}

/** The files have other names in another version of the service, which the page learns when it is loaded anew. */
function NotLoaded({ fault }: { fault: unknown }) {
  return (
    <main class="empty">
      <h1 tabIndex={-1}>{texts.value.common.notLoaded}</h1>
      <Fault of={fault} />
      <button type="button" class="primary" onClick={() => location.reload()}>
        {texts.value.common.reload}
      </button>
    </main>
  );
}

function Nothing() {
  const { notFoundTitle, notFoundBody, home } = texts.value.common;
  return (
    <main class="empty">
      <h1 tabIndex={-1}>{notFoundTitle}</h1>
      <p>{notFoundBody}</p>
      <a href={addressOf("")}>{home}</a>
    </main>
  );
}

/** A page that the reader's key may not use: what it may do, and who may use the page. */
function Refused({ needs }: Pick<Page, "needs">) {
  const { value } = session;
  if (value.state !== "in") return null;
  const { notAllowed, needsRole, otherKey, home } = texts.value.common;
  const { role } = value.who;
  return (
    <main class="empty">
      <h1 tabIndex={-1}>{notAllowed(role)}</h1>
      <p>{texts.value.common.roleMay[role]}</p>
      <p>{needsRole[needs]}</p>
      <div class="buttons">
        <button type="button" class="primary" onClick={logOut}>
          {otherKey}
        </button>
        <a class="button" href={addressOf("")}>
          {home}
        </a>
      </div>
    </main>
  );
}
