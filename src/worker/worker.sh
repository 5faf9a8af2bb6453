#!/bin/sh
# A BLOOM worker in one file, for BusyBox (or a POSIX shell, awk, sed and setsid) and curl. RUNTIME_API_KEY is the key of the runtime, if it has one.
#   curl -fsS http://host:3002/api/runtime/worker.sh | sh -s -- --server http://host:3002 --name pi --exec 'claude -p'
set -u; SERVER=http://localhost:3002 NAME=$(hostname) EXEC='' LABELS='' DRAINING=''
log() { echo "$(date '+%Y-%m-%d %H:%M:%S') $*" >&2; }; fail() { echo "$1" >&2; exit 2; }
while [ $# -gt 1 ]; do
  case $1 in --server) SERVER=${2%/} ;; --name) NAME=$2 ;; --exec) EXEC=$2 ;; --labels) LABELS=$2 ;; *) break ;; esac; shift 2
done
[ $# = 0 ] || fail "Unknown option $1, or its value is missing; there are --server, --name, --exec and --labels."
[ -n "$EXEC" ] || fail "--exec must say which command does the work."
case $NAME$LABELS in *[!A-Za-z0-9._,-]*) fail "--name and --labels may have letters, digits and . _ - only." ;; esac
DIR=$(mktemp -d) || exit 1; trap 'rm -rf "$DIR"' EXIT; trap 'log "draining: no new work"; DRAINING=1' TERM INT
now() { cut -d ' ' -f 1 /proc/uptime 2>/dev/null | tr -d . | grep . || date +%s00; }  # In 1/100 s. The date jumps when a Pi hears of the time.
await() { until wait "$1"; EXIT=$?; ! kill -0 "$1" 2>/dev/null; do :; done; }  # Until process $1 has ended, whatever signals come meanwhile.
# call <file for the answer> <seconds> <path> <options of curl>: CODE is the status, 000 without a whole answer. Ctrl-C spares the background.
call() {
  answer=$DIR/$1 seconds=$2 path=$3 CODE=''; shift 3; rm -f "$answer"
  curl -s -m "$seconds" -o "$answer" -w '%{http_code}\n' -H "@$DIR/headers" "$@" "$SERVER/api/runtime$path" > "$answer.code" &
  await $!; read -r CODE < "$answer.code"; case $EXIT:$CODE in 0:* | *:4??) ;; *) CODE=000 ;; esac
}
post() { call "$1" "$2" "$3" -H 'Content-Type: application/json' --data-binary "@$DIR/$4"; }
# Makes a call until the runtime has accepted or refused it for good.
insist() { until "$@"; case $CODE in 408 | 429) false ;; 2?? | 4??) ;; *) false ;; esac; do sleep 2; done; }
# Standard input as the inside of a JSON string, to the byte.
escape() {
  { cat; printf x; } | tr -d '\000' | LC_ALL=C awk '
    BEGIN { for (i = 1; i < 32; i++) { c[i] = sprintf("%c", i); e[i] = sprintf("\\u%04x", i) } odd = "[" c[1] "-" c[31] "]" }
    { gsub(/\\/, "&&"); gsub(/"/, "\\\""); if ($0 ~ odd) for (i in c) gsub(c[i], e[i]); printf "%s%s", (NR > 1 ? "\\n" : ""), $0 }' | sed '$ s/x$//'
}
# Splits an answer to a claim into files, BLOOM_PROMPT and so on. It is read from backslash to backslash, each part once: prompts are long. Of a
# part only the first character is escaped, and its quotes begin and end strings. 64 parts are written at a time: each write is a system call.
unpack() {
  rm -f "$DIR"/BLOOM_*; : > "$DIR/BLOOM_CONTEXT_HINTS"; LC_ALL=C awk -v to="$DIR/BLOOM_" '
    BEGIN { RS = "\\"; u["n"] = "\n"; u["t"] = "\t"; u["r"] = "\r"; u["b"] = "\b"; u["f"] = "\f"
      u["\""] = "\""; for (i = 1; i < 32; i++) u[sprintf("u%04x", i)] = sprintf("%c", i) }
    function flush(name) { if (name != "") printf "%s", kept > (to toupper(name)); kept = "" }
    function between(t) {  # What is between two strings says whether the next is a key, its value, or one more of its values.
      if (name == "") key = kept; flush(name); if (name != "" && name != list) close(to toupper(name))
      if (t ~ /\]/) list = ""; if (t ~ /:\[$/) list = key; if (t ~ /^:[0-9]/) { kept = substr(t, 2); sub(/[,}].*/, "", kept); flush(key) }
      name = t ~ /:$/ ? key : list; if (t == "," && list != "") kept = "\n" }
    inside && !plain && (c = substr($0, 1, 1)) in u && !index(s = substr($0, 2), "\"") { kept = kept u[c] s; if (NR % 64 == 0) flush(name); next }
    NR > 1 && !plain && $0 == "" { kept = kept "\\"; plain = 1; next }
    { s = $0; if (NR > 1 && !plain) { c = substr(s, 1, s ~ /^u/ ? 5 : 1); kept = kept (c in u ? u[c] : c); s = substr(s, length(c) + 1) }
      plain = 0; n = split(s, part, "\""); if (inside && NR % 64 == 0) flush(name)
      for (i = 1; i <= n; i++) { if (i > 1) inside = !inside; if (inside) kept = kept part[i]; else between(part[i]) } }' "$DIR/claim"
  { TASK=$(cat "$DIR/BLOOM_TASK_ID") LEASE=$(cat "$DIR/BLOOM_LEASE_ID") TIMEOUT=$(cat "$DIR/BLOOM_TIMEOUT_SEC"); } 2>/dev/null
  printf '{"lease_id":"%s"}' "$LEASE" > "$DIR/lease"; [ -n "$TASK" ] && [ -n "$LEASE" ] && [ -n "$TIMEOUT" ]
}
# Only the first time is a refusal the end: later it may be a proxy's, while the runtime is being exchanged.
register() {
  until post answer 30 /workers register; case $1$CODE in *20[01]) ;; first40[013]) fail "The runtime refused the registration: $(cat "$DIR/answer")" ;;
    *) log "the registration was answered with $CODE"; false ;; esac; do [ -z "$DRAINING" ] || exit 0; sleep 2; done
}
# Until the result is delivered: keeps the lease alive, and ends command $1, with its group once setsid has run, at its timeout or the lease's end.
watch() {
  due=0 last='' pulse=pulse.$1; while :; do  # A heartbeat of the task before may still be on its way: each has files of its own.
    reason='' next=''; [ "$(now)" -lt "$DEADLINE" ] || reason="timed out after $TIMEOUT s"
    if [ "$(now)" -ge "$due" ]; then
      post "$pulse" 5 "/llm-tasks/$TASK/heartbeat" lease
      case $CODE in 404 | 409) reason='was stopped: its lease was lost' ;;
        200) next=$(sed -n 's/.*"next_heartbeat_ms":\([0-9]*\).*/\1/p' "$DIR/$pulse")
          ! grep -q '"cancel":true' "$DIR/$pulse" || reason='was stopped: the task was cancelled' ;; esac; due=$(($(now) + ${next:-10000} / 10))
    fi
    if [ -n "$reason" ] && [ ! -f "$DIR/reason" ]; then echo "$reason" > "$DIR/reason"; last=$(($(now) + 500)); kill -TERM "-$1" "$1"
    elif [ -n "$last" ] && [ "$(now)" -ge "$last" ]; then last=''; kill -KILL "-$1" "$1"; fi 2>/dev/null; sleep 1
  done
}
execute() {
  [ -z "$DRAINING" ] || { for _ in 1 2 3; do post answer 5 "/llm-tasks/$TASK/release" lease; [ "$CODE" = 000 ] || break; done; return; }
  started=$(now); DEADLINE=$((started + ${TIMEOUT%.*} * 100)); case $TIMEOUT in *.*) DEADLINE=$((DEADLINE + 100)) ;; esac; rm -f "$DIR"/reason "$DIR"/pulse.*
  ( export BLOOM_CONTEXT_HINTS_FILE="$DIR/BLOOM_CONTEXT_HINTS"  # Linux takes no variable of more than 128 KB.
    for name in TASK_ID LEASE_ID CONTEXT_ID AGENT_SLUG DESIRED_FORMAT TIMEOUT_SEC BUDGET CONTEXT_HINTS; do
      [ "$(wc -c < "$DIR/BLOOM_$name")" -gt 100000 ] || export "BLOOM_$name=$(cat "$DIR/BLOOM_$name")"; done
    exec setsid sh -c "$EXEC" < "$DIR/BLOOM_PROMPT" > "$DIR/out" 2> "$DIR/err" ) &
  command=$!; watch "$command" & watcher=$!
  await "$command"; [ "$EXIT" = 0 ] || [ -f "$DIR/reason" ] || echo "ended with code $EXIT" > "$DIR/reason"
  # The children of a stopped one have their 5 s, too. Once there is a reason, if an empty one, nothing is killed for another.
  [ ! -f "$DIR/reason" ] || for _ in 1 2 3 4 5 6 7; do ! kill -0 "-$command" 2>/dev/null || sleep 1; done; : >> "$DIR/reason"
  status=success CODE=200 uploaded='' head=$(printf '"lease_id":"%s","metrics":{"duration_ms":%s}' "$LEASE" $((($(now) - started) * 10)))
  [ ! -s "$DIR/reason" ] || status=error
  if [ "$(wc -c < "$DIR/out")" -ge 1000000 ]; then insist call answer 3600 "/llm-tasks/$TASK/output" -T "$DIR/out" -H "X-Lease-Id: $LEASE"
    uploaded=$(sed -n 's/.*"output_id":"\([0-9a-f-]*\)".*/\1/p' "$DIR/answer"); fi
  case $CODE in 2??) { printf '{"status":"%s",%s,' "$status" "$head"
    if [ -n "$uploaded" ]; then printf '"output_id":"%s' "$uploaded"; else printf '"output":"'; escape < "$DIR/out"; fi
    [ $status = success ] || { printf '","error_message":"The command %s%s' "$(cat "$DIR/reason")" "$([ -s "$DIR/err" ] && echo ': ')"; tail -c 10000 "$DIR/err" | escape; }
    printf '"}'; } > "$DIR/result"; insist post answer 60 "/llm-tasks/$TASK/complete" result ;; esac
  case $CODE in 400 | 413) printf '{"status":"error",%s,"error_message":"The runtime refused the output (%s)."}' "$head" "$CODE" > "$DIR/result"
    insist post answer 60 "/llm-tasks/$TASK/complete" result ;; esac
  kill "$watcher"; log "task $TASK: $status, the runtime answered $CODE"
}
printf 'X-Runtime-API-Key: %s\n' "${RUNTIME_API_KEY:-}" > "$DIR/headers"; unset RUNTIME_API_KEY; printf '{"worker_id":"%s","wait_seconds":8}' "$NAME" > "$DIR/ask"
printf '{"name":"%s","boot_id":"%s","capabilities":{"max_concurrency":1,"labels":[%s]},"os_info":"%s","install_method":"worker.sh"}' "$NAME" \
  "$(cat /proc/sys/kernel/random/uuid || echo $$)" "$(echo "$LABELS" | sed 's/[^,][^,]*/"&"/g')" "$(uname -srm)" > "$DIR/register"
register first; log "worker $NAME waits for tasks of $SERVER"
# A claim is never cut off: what it was just given would be nobody's until its lease ends. So it waits for less than the 10 s that `docker stop` has.
while [ -z "$DRAINING" ]; do post claim 15 /llm-tasks/claim ask; pauses=1
  case $CODE in 204) continue ;; 404) register again ;; 200) if unpack; then execute; continue; fi ;;  # Each refused key counts, up to a lockout.
    40[13] | 429) log "no work: $CODE $(cat "$DIR/claim")"; pauses=15 ;; esac; until [ -n "$DRAINING" ] || [ $((pauses -= 1)) -lt 0 ]; do sleep 2; done
done; sed 's/{/{"status":"offline",/' "$DIR/register" > "$DIR/gone"; post answer 5 /workers gone  # Else it is given work for a minute yet.
