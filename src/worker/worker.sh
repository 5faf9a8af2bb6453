#!/bin/sh
# A BLOOM worker in one file, for machines with a POSIX shell (BusyBox ash will do), awk, sed and curl:
#   curl -s http://host:3002/api/runtime/worker.sh | sh -s -- --server http://host:3002 --name pi --exec 'claude -p'
# It executes one task at a time. The key of the runtime, if it has one, is read from RUNTIME_API_KEY.
set -u; export LC_ALL=C
SERVER=http://localhost:3002 NAME=$(hostname) EXEC='' LABELS='' DRAINING='' CALLING=''
fail() { echo "$1" >&2; exit 2; }
while [ $# -gt 1 ]; do
  case $1 in --server) SERVER=${2%/} ;; --name) NAME=$2 ;; --exec) EXEC=$2 ;; --labels) LABELS=$2 ;; *) break ;; esac; shift 2
done
[ $# = 0 ] || fail "Unknown option $1, or its value is missing; there are --server, --name, --exec and --labels."
[ -n "$EXEC" ] || fail "--exec must say which command does the work."
case $NAME$LABELS in *[!A-Za-z0-9._,-]*) fail "--name and --labels may have letters, digits and . _ - only." ;; esac
DIR=$(mktemp -d) || exit 1; BOOT=$(cat /proc/sys/kernel/random/uuid 2>/dev/null || echo "$$-$(date +%s)")
log() { echo "$(date '+%Y-%m-%d %H:%M:%S') $*" >&2; }
trap 'rm -rf "$DIR"' EXIT
trap 'DRAINING=1; [ -z "$CALLING" ] || kill "$CALLING"' TERM INT

# post <path> <file with the body> <file for the answer>: prints the status, 000 without one.
post() {
  exec curl -s -m 60 -o "$3" -w '%{http_code}' -H 'Content-Type: application/json' -H "X-Runtime-API-Key: ${RUNTIME_API_KEY:-}" \
    --data-binary "@$2" "$SERVER/api/runtime$1"
}
# The file $1 as the inside of a JSON string, to the byte.
escape() {
  { cat "$1"; printf x; } | tr -d '\000' | awk 'BEGIN { for (i = 1; i < 32; i++) { c[i] = sprintf("%c", i); e[i] = sprintf("\\\\u%04x", i) } }
    { gsub(/\\/, "&&"); gsub(/"/, "\\\""); for (i = 1; i < 32; i++) if (i != 10 && index($0, c[i])) gsub(c[i], e[i])
      printf "%s%s", (NR > 1 ? "\\n" : ""), $0 }' | sed '$ s/x$//'
}
# The string field $1 of the JSON in file $2, unescaped. A quote inside a JSON string is escaped, so that the key is found only as a key.
field() {
  awk -v key="\"$1\":\"" 'BEGIN { u["n"] = "\n"; u["t"] = "\t"; u["r"] = "\r"; u["b"] = "\b"; u["f"] = "\f" }
    function hex(s, i, n) { n = 0; for (i = 1; i <= 4; i++) n = n * 16 + index("0123456789abcdef", tolower(substr(s, i, 1))) - 1; return n }
    { p = index($0, key); if (!p) exit
      for (p += length(key); (c = substr($0, p, 1)) != "\"" && c != ""; p++) {
        if (c == "\\") { c = substr($0, ++p, 1); if (c == "u") { c = sprintf("%c", hex(substr($0, p + 1, 4))); p += 4 } else if (c in u) c = u[c] }
        printf "%s", c } exit }' "$2"
}
find() { sed -n "s/.*$1.*/\\1/p" "$2"; }

register() {
  quoted=$(echo "$LABELS" | sed 's/[^,][^,]*/"&"/g')
  printf '{"name":"%s","boot_id":"%s","capabilities":{"max_concurrency":1,"labels":[%s]},"os_info":"%s","install_method":"worker.sh"}' \
    "$NAME" "$BOOT" "$quoted" "$(uname -srm)" > "$DIR/register"
  until code=$(post /workers "$DIR/register" "$DIR/answer"); [ "$code" = 200 ] || [ "$code" = 201 ]; do
    case $code in 429) ;; 4??) fail "The runtime refused the registration ($code): $(cat "$DIR/answer")" ;; esac
    [ -z "$DRAINING" ] || exit 0; sleep 2
  done
}
# Keeps the lease alive while process group $1 runs; ends it at the timeout, when the task is cancelled and when the lease is lost.
watch() {
  seconds=0 due=0
  while kill -0 "$1" 2>/dev/null; do
    reason=''
    [ "$seconds" -lt "$TIMEOUT" ] || reason="timed out after $TIMEOUT s"
    if [ "$seconds" -ge "$due" ]; then
      code=$(post "/llm-tasks/$TASK/heartbeat" "$DIR/lease" "$DIR/pulse")
      case $code in 404 | 409) reason='was stopped: its lease was lost' ;; esac
      ! grep -q '"cancel":true' "$DIR/pulse" 2>/dev/null || reason='was stopped: the task was cancelled'
      next=$(find '"next_heartbeat_ms":\([0-9]*\)' "$DIR/pulse" 2>/dev/null)
      due=$((seconds + ${next:-10000} / 1000))
    fi
    [ -z "$reason" ] || { echo "$reason" > "$DIR/reason"; kill -TERM "-$1"; sleep 5; kill -KILL "-$1"; return; } 2>/dev/null
    sleep 1; seconds=$((seconds + 1))
  done
}
execute() {
  TASK=$(find '"task":{"id":"\([0-9a-f-]*\)"' "$DIR/claim") LEASE=$(find '"lease":{"id":"\([0-9a-f-]*\)"' "$DIR/claim")
  TIMEOUT=$(find '"timeout_sec":\([0-9]*\)' "$DIR/claim") started=$(date +%s)
  rm -f "$DIR/reason"; printf '{"lease_id":"%s"}' "$LEASE" > "$DIR/lease"; field prompt "$DIR/claim" > "$DIR/prompt"
  BLOOM_TASK_ID=$TASK BLOOM_LEASE_ID=$LEASE BLOOM_TIMEOUT_SEC=$TIMEOUT BLOOM_CONTEXT_ID=$(field context_id "$DIR/claim") \
    BLOOM_AGENT_SLUG=$(field agent_slug "$DIR/claim") BLOOM_DESIRED_FORMAT=$(field desired_format "$DIR/claim") \
    setsid sh -c "$EXEC" < "$DIR/prompt" > "$DIR/out" 2> "$DIR/err" &
  command=$!
  watch "$command" & watcher=$!
  until wait "$command"; code=$?; ! kill -0 "$command" 2>/dev/null; do :; done; kill "$watcher" 2>/dev/null
  [ -f "$DIR/reason" ] || [ "$code" = 0 ] || echo "ended with code $code" > "$DIR/reason"
  tail -c 10000 "$DIR/err" > "$DIR/complaint"
  status=success uploaded=''; [ ! -f "$DIR/reason" ] || status=error
  # What is large is uploaded by itself. Should that fail, it goes the way of the others.
  [ "$(wc -c < "$DIR/out")" -lt 1000000 ] || uploaded=$(curl -s -m 3600 -T "$DIR/out" -H "X-Lease-Id: $LEASE" -H "X-Runtime-API-Key: ${RUNTIME_API_KEY:-}" \
    "$SERVER/api/runtime/llm-tasks/$TASK/output" | sed -n 's/.*"output_id":"\([0-9a-f-]*\)".*/\1/p')
  { printf '{"status":"%s","lease_id":"%s","metrics":{"duration_ms":%s},' "$status" "$LEASE" $((($(date +%s) - started) * 1000))
    if [ -n "$uploaded" ]; then printf '"output_id":"%s' "$uploaded"; else printf '"output":"'; escape "$DIR/out"; fi
    [ "$status" = success ] || { printf '","error_message":"The command %s: ' "$(cat "$DIR/reason")"; escape "$DIR/complaint"; }
    printf '"}'; } > "$DIR/result"
  # Kept and sent again until the runtime has accepted or refused it for good.
  until code=$(post "/llm-tasks/$TASK/complete" "$DIR/result" "$DIR/answer"); case $code in 429 | 5?? | 000) false ;; esac; do sleep 2; done
  log "task $TASK: $status, the runtime answered $code"
}

register; log "worker $NAME waits for tasks of $SERVER"
printf '{"worker_id":"%s","wait_seconds":25}' "$NAME" > "$DIR/ask"
while [ -z "$DRAINING" ]; do
  # In the background, so that a signal is heard at once.
  post /llm-tasks/claim "$DIR/ask" "$DIR/claim" > "$DIR/code" & CALLING=$!
  wait "$CALLING" || :; CALLING=''
  case $(cat "$DIR/code") in 200) execute ;; 204) ;; 404) register ;; *) [ -n "$DRAINING" ] || sleep 2 ;; esac
done
