/** The shell script that installs this project's worker on a machine. It holds no key: the caller gives that in the environment. */
export function installScript(serverUrl: string, nodeId: string | undefined): string {
  return `#!/bin/sh
# Installs the BLOOM worker for this user. RUNTIME_API_KEY is the worker's key, if the runtime has keys. CLI names the CLI that does the
# work (claude, codex, gemini or opencode), or EXEC is any other command for it. Where they are given, CLI_ARGS are further arguments for the
# CLI, such as '--permission-mode acceptEdits', LABELS are the worker's labels (with commas), ACCOUNT is the account at the LLM's provider
# that the CLI uses, and CWD is the folder in which the command runs; without it, that is "work" in the worker's folder. START=yes starts it too.
set -eu
if [ -n "\${EXEC:-}" ] && [ -n "\${CLI_ARGS:-}" ]; then
  echo "CLI_ARGS are for CLI, and EXEC is in its place: write the arguments into EXEC." >&2
  exit 2
fi
SERVER=${quoted(serverUrl.replace(/\/+$/, ""))}
NAME=${nodeId === undefined ? "$(hostname)" : quoted(nodeId)}
CLI=\${CLI:-claude}
# A folder for each worker, so that several may live on one machine.
DIR=\${BLOOM_WORKER_DIR:-$HOME/.bloom-worker/$(printf %s "$NAME" | tr -c 'A-Za-z0-9._-' _)}
umask 077
mkdir -p "$DIR"
printf 'X-Runtime-API-Key: %s\\n' "\${RUNTIME_API_KEY:-}" > "$DIR/headers"
curl -fsS -H "@$DIR/headers" "$SERVER/api/runtime/worker.sh" -o "$DIR/worker.sh.new"
rm -f "$DIR/headers"
mv "$DIR/worker.sh.new" "$DIR/worker.sh"
printf '%s\\n' "\${RUNTIME_API_KEY:-}" > "$DIR/key"
printf '%s\\n' "$SERVER" > "$DIR/server"
printf '%s\\n' "$NAME" > "$DIR/name"
# Cron's PATH has no folder of this user, where the CLI and its node may lie.
printf '%s\\n' "$PATH" > "$DIR/path"
rm -f "$DIR/exec" "$DIR/cli" "$DIR/cli-args" "$DIR/labels" "$DIR/account" "$DIR/cwd"
if [ -n "\${EXEC:-}" ]; then printf '%s\\n' "$EXEC" > "$DIR/exec"; else printf '%s\\n' "$CLI" > "$DIR/cli"; fi
if [ -n "\${CLI_ARGS:-}" ]; then printf '%s\\n' "$CLI_ARGS" > "$DIR/cli-args"; fi
if [ -n "\${LABELS:-}" ]; then printf '%s\\n' "$LABELS" > "$DIR/labels"; fi
if [ -n "\${CWD:-}" ]; then (cd -- "$CWD" && pwd) > "$DIR/cwd"; fi
if [ -n "\${ACCOUNT:-}" ]; then printf '%s\\n' "$ACCOUNT" > "$DIR/account"; fi
cat > "$DIR/run.sh" <<'END'
#!/bin/sh
cd "$(dirname "$0")" || exit 1
# The worker's command does not run here but in the folder "work", since here are the key and the worker itself.
BLOOM_WORKER_DIR=$(pwd); export BLOOM_WORKER_DIR
PATH=$(cat path):$PATH; export PATH
RUNTIME_API_KEY=$(cat key); export RUNTIME_API_KEY
if [ -f exec ]; then set -- --exec "$(cat exec)"; else set -- --cli "$(cat cli)"; fi
if [ -f cli-args ]; then set -- "$@" --cli-args "$(cat cli-args)"; fi
if [ -f labels ]; then set -- "$@" --labels "$(cat labels)"; fi
if [ -f cwd ]; then set -- "$@" --cwd "$(cat cwd)"; fi
if [ -f account ]; then set -- "$@" --account "$(cat account)"; fi
exec sh worker.sh --server "$(cat server)" --name "$(cat name)" "$@"
END
chmod 700 "$DIR/run.sh"
echo "The BLOOM worker $NAME is installed in $DIR."
if [ -z "\${EXEC:-}" ] && ! command -v "$CLI" > /dev/null; then
  echo "There is no command $CLI here. Install it and log in. If that changes PATH, run this again; then start the worker as follows." >&2
  START=
fi
if [ -n "\${START:-}" ] && [ -f "$DIR/pid" ] && kill -0 "$(head -n 1 "$DIR/pid")" 2> /dev/null; then
  echo "It runs already, as it was before. End it, and start it when it has ended: kill $(head -n 1 "$DIR/pid")" >&2
  START=
fi
if [ -n "\${START:-}" ]; then
  nohup "$DIR/run.sh" >> "$DIR/worker.log" 2>&1 < /dev/null &
  echo "It starts now. What it says is in $DIR/worker.log."
else
  echo "Start it: nohup \\"$DIR/run.sh\\" >> \\"$DIR/worker.log\\" 2>&1 &"
fi
echo "To have it started with the machine, add this line with 'crontab -e': @reboot \\"$DIR/run.sh\\" >> \\"$DIR/worker.log\\" 2>&1"
`;
}

/** The text as one word of a POSIX shell, whatever is in it. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
