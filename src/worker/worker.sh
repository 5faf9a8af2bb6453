#!/bin/sh
# A BLOOM worker in one file: it asks the runtime for tasks, runs a command for each, and hands in what the command prints.
#
#   { curl -fsS http://host:3002/api/runtime/worker.sh || echo exit 1; } | sh -s -- --server http://host:3002 --name pi --cli claude
#
# It needs a POSIX shell (BusyBox, dash, bash), curl and the usual small tools. With --exec 'any command' in place of
# --cli, what the command prints is the result as it is. The command gets the prompt on standard input and the task's
# fields as BLOOM_... variables. The key of the runtime, if it has one, is read from RUNTIME_API_KEY, or from the file that
# RUNTIME_API_KEY_FILE names; that file is read again when the runtime refuses the key. The command runs in the folder of
# --cwd, or else in the folder where this is called; where that holds this file or the key's, in an empty folder of its own.
#
# Signals: TERM or INT lets the running task end and takes no new one; HUP stops the running task and hands it back.
set -u

LEASE_SECONDS=90       # A task is queued again this long after this machine dies. Heartbeats renew the lease.
WAIT_SECONDS=8         # How long a claim waits. It is never cut off, and `docker stop` gives 10 s.
KEEP_SECONDS=3600      # How long a finished result is offered.
TEXT_BYTES=1000000     # Larger outputs are uploaded.
MOST_REST=10           # Somebody may end a rest. A worker that asks less often would learn of it too late.
FAST_SECONDS=10        # A command that fails sooner may have failed because of this machine.
SAID_FOR=3600          # How long the worker's record says why it has ended, in seconds: the longest that the call takes.
MOST_HAND_BACKS=3      # A task that could not be run here this many times is at fault itself.
GRACE_SECONDS=${BLOOM_CLI_GRACE_SECONDS:-30}  # How long a CLI may take to end after its result.
AFTER_RESULT='was stopped after its result'

SERVER=http://localhost:3002 NAME=$(hostname) EXEC='' CLI='' CLI_ARGS='' LABELS='' ACCOUNT='' CWD=''
DRAINING='' STOPPING='' DIR='' KEY_CONFIG='' DETACH='' SAID='' PID_FILE='' WAITING=''
FAILURES=0 TROUBLES=0 RAN_WELL='' HANDED_BACK=''

# The control characters of UTF-8's second block, which terminals take for commands too.
C1=$(printf '\302[\200-\237]')
# A command's complaint or an answer may hold line breaks and what a terminal takes for commands. None of that gets into the log.
plain() { printf '%s' "$1" | tr '\n\r\t' '   ' | LC_ALL=C tr -d '\000-\037\177' | LC_ALL=C sed "s/$C1//g"; }
log() { printf '%s %s\n' "$(date '+%Y-%m-%d %H:%M:%S')" "$(plain "$*")" >&2; }
warn() { log "WARNING: $*"; }
fail() { printf '%s\n' "$(plain "$1")" >&2; exit 2; }

# ---------------------------------------------------------------------------------------------------------------- start

usage() {
  cat << 'END'
A BLOOM worker: it asks the runtime for tasks, runs a command for each, and hands in what the command prints.

  --server URL      the runtime; http://localhost:3002 when not given
  --name NAME       a name that no other worker has; the host's when not given
  --cli NAME        runs claude, codex, gemini or opencode for each task
  --cli-args ARGS   adds arguments to those of --cli, such as '--permission-mode acceptEdits'
  --exec COMMAND    runs this in place of --cli: the prompt comes on standard input, what it prints is the result
  --labels A,B      the labels that this worker has
  --account NAME    the account at the LLM's provider that the CLI uses, where workers share one
  --cwd FOLDER      the folder in which it runs; where this is called when not given, or a folder of its own where
                    that one holds this file or the key's

RUNTIME_API_KEY is the runtime's key, if it has one; or RUNTIME_API_KEY_FILE names the file that holds it.
END
}

read_options() {
  case ${1:-} in --help | -h) usage; exit 0 ;; esac
  while [ $# -gt 1 ]; do
    case $1 in
      --server) SERVER=${2%/} ;;
      --name) NAME=$2 ;;
      --exec) EXEC=$2 ;;
      --cli) CLI=$2 ;;
      --cli-args) CLI_ARGS=$2 ;;
      --labels) LABELS=$2 ;;
      --account) ACCOUNT=$2 ;;
      --cwd) CWD=$2 ;;
      *) break ;;
    esac
    shift 2
  done
  [ $# = 0 ] || fail "Unknown option $1, or its value is missing; there are --server, --name, --cli, --cli-args, --exec, --labels, --account and --cwd."
  case $SERVER in [Hh][Tt][Tt][Pp]://?* | [Hh][Tt][Tt][Pp][Ss]://?*) ;; *) fail "--server must be an http:// or https:// address." ;; esac
  case $EXEC:$CLI in : | ?*:?*) fail "Either --cli or --exec must say what does the work, and not both." ;; esac
  [ -n "$CLI" ] || [ -z "$CLI_ARGS" ] || fail "--cli-args are for --cli."
  case $GRACE_SECONDS in '' | *[!0-9]*) fail "BLOOM_CLI_GRACE_SECONDS must be a number of whole seconds." ;; esac
  OPTION=--exec
  if [ -n "$CLI" ]; then
    EXEC=$(cli_command)
    [ -n "$EXEC" ] || fail "--cli must be one of claude, codex, gemini, opencode."
    OPTION=--cli EXEC="$EXEC $CLI_ARGS $(cli_subcommand)"
  fi
  case $NAME$LABELS in *[!A-Za-z0-9._,-]*) fail "--name and --labels may have letters, digits and . _ - only." ;; esac
}

# How the CLI is called; prints nothing for an unknown CLI. What a task decides comes in variables, which are written so that no value can be taken
# for another option. The other worker has the same (cli-command.ts).
cli_command() {
  # shellcheck disable=SC2016
  case $CLI in
    claude) echo 'claude -p --output-format stream-json --verbose ${BLOOM_MODEL:+--model="$BLOOM_MODEL"}' \
      '${BLOOM_MAX_TURNS:+--max-turns="$BLOOM_MAX_TURNS"} ${BLOOM_MAX_USD:+--max-budget-usd="$BLOOM_MAX_USD"}' \
      '${BLOOM_RESUME_SESSION:+--resume="$BLOOM_RESUME_SESSION"} ${BLOOM_OUTPUT_SCHEMA:+--json-schema="$BLOOM_OUTPUT_SCHEMA"}' ;;
    codex) echo 'codex exec --json --skip-git-repo-check ${BLOOM_MODEL:+--model="$BLOOM_MODEL"}' \
      '${BLOOM_OUTPUT_SCHEMA_FILE:+--output-schema="$BLOOM_OUTPUT_SCHEMA_FILE"}' ;;
    gemini) echo 'gemini --output-format json ${BLOOM_MODEL:+--model="$BLOOM_MODEL"}' \
      '${BLOOM_RESUME_SESSION:+--resume="$BLOOM_RESUME_SESSION"}' ;;
    opencode) echo 'opencode run --format json ${BLOOM_MODEL:+--model="$BLOOM_MODEL"}' \
      '${BLOOM_RESUME_SESSION:+--session="$BLOOM_RESUME_SESSION"}' ;;
  esac
}

# What stands behind all options, those of --cli-args too: codex goes on with a session by a subcommand, which takes fewer of them.
cli_subcommand() {
  # shellcheck disable=SC2016
  case $CLI in codex) echo '${BLOOM_RESUME_SESSION:+resume "$BLOOM_RESUME_SESSION" -}' ;; esac
}

# The first word of the command, when it is a plain name; shell syntax in front of it cannot be judged without running it.
command_word() {
  set -f
  # shellcheck disable=SC2086
  set -- $EXEC
  set +f
  case ${1:-} in *[!A-Za-z0-9_./+-]*) ;; *) printf '%s' "${1:-}" ;; esac
}

# A sentence that says why the command cannot run here, or nothing.
command_fault() {
  word=$(command_word)
  if [ -n "$word" ] && ! command -v "$word" > /dev/null 2>&1; then
    hint='give its whole path'
    [ "$OPTION" = --cli ] && hint='add its folder to PATH'
    echo "The command \"$word\" of $OPTION is not found on this machine, or may not be run. Install it, or $hint."
  else
    sh -n -c "$EXEC" 2>&1 | sed -n "1s/^/The command of $OPTION is not valid: /p"
  fi
}

# absolute <path>: as it is from any folder.
absolute() { case $1 in /* | '') printf '%s' "$1" ;; *) printf '%s/%s' "$PWD" "$1" ;; esac; }

# True when folder $1 lies in folder $2, or is it.
is_within() { case $1/ in "${2%/}"/*) true ;; *) false ;; esac; }

# Enters the folder in which the commands run, so that a CLI that may edit files does not find the worker's own files there. OWN is the worker's own
# folder, for its pid file and, where the folder in which it was called does not serve, for its command. The other worker has the same.
enter_folder() {
  KEY_FILE=$(absolute "$KEY_FILE")
  OWN=$(absolute "${BLOOM_WORKER_DIR:-${HOME:+$HOME/.bloom-worker/$NAME}}")
  if [ -n "${TMPDIR:-}" ]; then TMPDIR=$(absolute "$TMPDIR") && export TMPDIR; fi
  because=''
  if [ -n "$CWD" ]; then
    cd -- "$CWD" 2> /dev/null || fail "--cwd: the folder $CWD cannot be entered. Make it first, or name another."
  else
    called_in=$(pwd -P) kept='' checkout=''
    # Through a pipe there is no such file.
    [ ! -f "$0" ] || kept=$(cd -P -- "$(dirname -- "$0")" && pwd -P)
    case $kept in */src/worker) checkout=${kept%/src/worker} ;; esac
    if [ -n "$kept" ] && is_within "$kept" "$called_in"; then because="$called_in holds the worker's script"; fi
    if [ -n "$checkout" ] && is_within "$called_in" "$checkout"; then because="$called_in is the service's checkout"; fi
    if [ -n "$KEY_FILE" ] && kept=$(cd -P -- "$(dirname -- "$KEY_FILE")" 2> /dev/null && pwd -P) && is_within "$kept" "$called_in"; then
      because="$called_in holds the worker's key"
    fi
    if [ -n "$because" ]; then
      if [ -z "$OWN" ] || ! (umask 077 && mkdir -p "$OWN/work") 2> /dev/null || ! cd -- "$OWN/work" 2> /dev/null; then
        fail "The command cannot run here, since $because, and no other folder could be made. Give --cwd a folder for it."
      fi
    fi
  fi
  FOLDER=$(pwd -P)
}

# began <process>: when the process began, as this system says it; prints nothing when the process has ended.
began() {
  if [ -r /proc/self/stat ]; then
    { read -r stat < "/proc/$1/stat"; } 2> /dev/null || return 0
    # The fields behind the program's name, which is in brackets and may have spaces.
    # shellcheck disable=SC2086
    set -- ${stat##*) }
    [ "$1" = Z ] || printf '%s' "${20}"
  elif command -v ps > /dev/null 2>&1; then LC_ALL=C TZ=UTC ps -o lstart= -p "$1" 2> /dev/null | sed 's/ *$//'
  fi
}

# A second worker of the same name on this machine would take over the first's task. The pid file has the process's number and when that process
# began, since numbers are used again. A pid file whose process has ended is replaced.
take_pid_file() {
  pid='' since=''
  if [ -n "$OWN" ] && [ -r "$OWN/pid" ]; then { read -r pid; read -r since; } < "$OWN/pid"; fi
  case $pid in '' | *[!0-9]* | "$$") since='' ;; esac
  if [ -n "$since" ] && [ "$(began "$pid")" = "$since" ]; then
    fail "A worker of the name $NAME runs on this machine already: process $pid, by $OWN/pid. Give this one another --name, or end that one first: kill $pid"
  fi
  if [ -n "$OWN" ] && (umask 077 && mkdir -p "$OWN" && printf '%s\n%s\n' "$$" "$(began $$)" > "$OWN/pid") 2> /dev/null; then PID_FILE=$OWN/pid
  else warn "There is no pid file, since $OWN cannot be written: a second worker of this name would take over its tasks."
  fi
}

check_machine() {
  for tool in curl awk sed tr tail head wc mktemp sleep ${CLI:+grep}; do
    command -v "$tool" > /dev/null 2>&1 || fail "This worker needs $tool, which is not found."
  done
  fault=$(command_fault)
  [ -z "$fault" ] || fail "$fault"
  if command -v setsid > /dev/null 2>&1; then DETACH=setsid
  elif command -v perl > /dev/null 2>&1; then DETACH=perl
  else warn "Neither setsid nor perl is here: at a timeout only the command itself is ended, and not what it has started."
  fi
}

# curl reads the key from a pipe: on its command line, in its environment or in a file, the command that runs here could read it.
load_key() {
  key=${RUNTIME_API_KEY:-}
  if [ -n "${KEY_FILE:-}" ]; then
    read -r key < "$KEY_FILE" || [ -n "$key" ] || warn "The key cannot be read from $KEY_FILE."
  fi
  before=$KEY_CONFIG
  [ -z "$key" ] || KEY_CONFIG="header = \"X-Runtime-API-Key: $(printf '%s' "$key" | tr -d '\r' | sed 's/[\\"]/\\&/g')\""
  [ "$KEY_CONFIG" != "$before" ]
}

# ---------------------------------------------------------------------------------------------------------- time and room

# The time in hundredths of a second. The date jumps when a machine without a clock hears of the time, the uptime does not.
CLOCK='now() { if [ -r /proc/uptime ]; then read -r up _ < /proc/uptime; echo "${up%.*}${up#*.}"; else date +%s00; fi; }'
eval "$CLOCK"

nap() {
  left=$1
  while [ "$left" -gt 0 ] && [ -z "$DRAINING" ]; do sleep 1; left=$((left - 1)); done
}

# True when files can be written. The folder is made anew when somebody has removed it.
have_room() {
  [ -n "$DIR" ] && [ -d "$DIR" ] || DIR=$(mktemp -d 2> /dev/null) || { DIR=''; return 1; }
  head -c 65536 /dev/zero 2> /dev/null > "$DIR/probe" && [ "$(wc -c < "$DIR/probe")" -eq 65536 ]
  wrote=$?
  rm -f "$DIR/probe"
  return $wrote
} 2> /dev/null

# Until process $1 has ended, whatever signals come meanwhile. EXIT is its exit code.
await() { until wait "$1"; EXIT=$?; ! kill -0 "$1" 2> /dev/null; do :; done; }

# --------------------------------------------------------------------------------------------------------- calls

# call <name for the answer's files> <seconds> <path> <options of curl...>
# CODE is the status of an answer that is the runtime's own, and 000 for anything else: no whole answer, or one of a proxy. WHY says more.
call() {
  name=$1 answer=$DIR/$1 seconds=$2 path=$3
  shift 3
  rm -f "$answer" "$answer.headers" "$answer.fault"
  printf '%s\n' "$KEY_CONFIG" | curl -sS -K - -m "$seconds" -D "$answer.headers" -o "$answer" -H 'Accept: text/plain' "$@" \
    "$SERVER/api/runtime$path" 2> "$answer.fault" &
  await $!
  CODE=$(sed -n 's/^HTTP\/[0-9.]* \([0-9][0-9][0-9]\).*/\1/p' "$answer.headers" 2> /dev/null | tail -n 1)
  if [ -z "$CODE" ]; then
    WHY="no answer: $(head -n 1 "$answer.fault" 2> /dev/null)" CODE=000
    # With this exit code curl says that TLS cannot be made, such as at a port for http.
    [ "$EXIT" != 35 ] || WHY="$WHY; is it http://?"
  elif [ "$(field "$name" runtime)" != 1 ]; then
    to=$(LC_ALL=C sed -n 's/^[Ll][Oo][Cc][Aa][Tt][Ii][Oo][Nn]: *//p' "$answer.headers" | head -n 1 | head -c 200 | tr -d '\000-\037')
    WHY="an answer $CODE that is not the runtime's own${to:+; it leads to $to}" CODE=000
  else
    WHY="$CODE $(head -c 300 "$answer" 2> /dev/null | tr -d '\000')"
    # A refusal may come while the rest of an upload is still being sent, which curl calls an error.
    case $EXIT:$CODE in 0:* | *:4??) ;; *) WHY="an answer that was cut off" CODE=000 ;; esac
  fi
}

# field <name of the answer> <name in lower case>: the header X-Bloom-<name>, decoded.
field() {
  LC_ALL=C awk -v name="x-bloom-$2:" '
    BEGIN { for (i = 0; i < 256; i++) byte[sprintf("%02X", i)] = sprintf("%c", i) }
    { sub(/\r$/, "") }
    tolower($1) == name { found = 1; value = substr($0, length(name) + 1); sub(/^ */, "", value) }
    END {
      while (match(value, /%[0-9A-Fa-f][0-9A-Fa-f]/)) {
        decoded = decoded substr(value, 1, RSTART - 1) byte[toupper(substr(value, RSTART + 1, 2))]
        value = substr(value, RSTART + 3)
      }
      printf "%s", decoded value
    }' "$DIR/$1.headers" 2> /dev/null
}

# Says that the result waits: at first, and every 10 minutes. At a signal the trap says it.
tell_waiting() {
  WAITING="a finished result of task $TASK waits to be handed in: $WHY"
  [ "$(now)" -ge "$tell_at" ] || return 0
  warn "$WAITING"
  tell_at=$(($(now) + 60000))
}
# Makes a call until the runtime has accepted it or refused it for good, for an hour at most.
insist() {
  offer "$@"
  WAITING=''
}
offer() {
  give_up_at=$(($(now) + KEEP_SECONDS * 100)) tell_at=0
  while :; do
    "$@"
    case $CODE in
      401 | 429)
        tell_waiting
        load_key || wait_a_while 30
        ;;
      000 | 408 | 5??) tell_waiting && wait_a_while 2 ;;
      *) return ;;
    esac
    [ "$(now)" -lt "$give_up_at" ] || return
    [ -z "$STOPPING" ] || return
  done
}
# A pause that draining does not cut short: a finished result is worth it.
wait_a_while() { left=$1; while [ "$left" -gt 0 ] && [ -z "$STOPPING" ]; do sleep 1; left=$((left - 1)); done; }

# register <first or again>: only the first time is a refusal the end, since a name or key that was taken once may be taken again.
register() {
  while :; do
    call answer 30 /workers -d "name=$NAME" -d "boot_id=$BOOT_ID" -d max_concurrency=1 -d install_method=worker.sh \
      -d "labels=$(printf '%s' "$LABELS" | sed 's/,/\&labels=/g')" --data-urlencode "os_info=$(uname -srm)" \
      ${ACCOUNT:+--data-urlencode "account=$ACCOUNT"}
    case $1:$CODE in
      *:20[01]) return ;;
      first:401) fail "The runtime refused the registration: $WHY
The worker's key is read from RUNTIME_API_KEY in the environment, or from the file that RUNTIME_API_KEY_FILE names." ;;
      first:404) fail "The runtime refused the registration: $WHY
Give --server the runtime's address without the path of a page or call, such as http://host:3002." ;;
      first:40[03]) fail "The runtime refused the registration: $WHY" ;;
    esac
    warn "not registered yet: $WHY"
    [ "$CODE" != 401 ] || load_key || nap 28
    nap 2
    [ -z "$DRAINING" ] || exit 0
  done
}

# rest <how often in a row> <reason>: takes no work for 5 s, twice as long each time, up to 5 minutes. The worker's record says so.
rest() {
  seconds=5 times=$1
  while [ "$times" -gt 1 ] && [ "$seconds" -lt 300 ]; do seconds=$((seconds * 2)) times=$((times - 1)); done
  [ "$seconds" -le 300 ] || seconds=300
  warn "takes no work for a while ($seconds s): $2"
  [ -z "$DIR" ] || call answer 5 "/workers/$NAME/rest" -d "seconds=$seconds" --data-urlencode "reason=$2"
  # The runtime refuses the claims until the rest is over or somebody ends it, which is heard only by asking.
  if [ "$CODE" = 200 ] && [ "$seconds" -gt "$MOST_REST" ] && have_room; then seconds=$MOST_REST; fi
  nap "$seconds"
}

# release <reason> [true]: hands the task back, and its attempt with it. "true" says that it was started.
release() {
  for _ in 1 2 3; do
    call answer 5 "/llm-tasks/$TASK/release" -d "lease_id=$LEASE" -d "started=${2:-false}" --data-urlencode "reason=$1"
    [ "$CODE" = 000 ] || break
  done
  warn "task $TASK was handed back: $1 (the runtime answered $CODE)"
}

# --------------------------------------------------------------------------------------------------------- one task

# True once the worker, whose process is $$, has gone: this subshell then has another parent. To look whether a process of that number
# lives would not do, since numbers are used again.
is_left() {
  if [ -r /proc/self/stat ]; then
    # The second field is the file's name in brackets, which may have spaces, as in "worker (1).sh".
    read -r stat < /proc/self/stat
    # shellcheck disable=SC2086
    set -- ${stat##*) }
    parent=$2
  elif command -v ps > /dev/null 2>&1; then
    parent=$(ps -o ppid= -p "$(exec sh -c 'echo $PPID')" | tr -d ' ')
  else
    kill -0 $$ 2> /dev/null && return 1
    parent=''
  fi
  [ "$parent" != $$ ]
}

# Sends what the command has printed since the last time, for people to look at while it runs. Of more than the runtime keeps, the end is sent.
# The runtime that does not take it has live output off, or does not know it.
send_live_output() {
  [ -f "$DIR/out" ] || return
  size=$(($(wc -c < "$DIR/out")))
  [ "$size" -gt "$sent" ] || return
  [ $((size - sent)) -le 262144 ] || sent=$((size - 262144))
  tail -c +$((sent + 1)) "$DIR/out" 2> /dev/null | head -c 65536 > "$DIR/piece" || return
  call live 5 "/llm-tasks/$TASK/stream?lease_id=$LEASE&seq=$piece" \
    -H 'Content-Type: text/plain; charset=utf-8' --data-binary "@$DIR/piece"
  case $CODE in
    204) sent=$((sent + $(wc -c < "$DIR/piece"))) piece=$((piece + 1)) ;;
    400 | 403 | 404 | 409 | 415) live='' ;;
  esac
}

# Renews the lease until the worker ends this subshell, or has gone itself. A lost lease and a cancellation stop the command.
keep_lease() {
  trap '' HUP TERM INT
  sent=0 piece=0 live=yes
  while ! is_left; do
    call pulse 5 "/llm-tasks/$TASK/heartbeat" -d "lease_id=$LEASE"
    pause=10
    case $CODE in
      401) load_key || pause=30 ;;
      404 | 409) echo 'was stopped: its lease was lost' > "$DIR/stop"; return ;;
      200)
        [ "$(field pulse cancel)" != true ] || echo 'was stopped: the task was cancelled' > "$DIR/stop"
        next=$(field pulse next-heartbeat-ms)
        # Arithmetic would run what stands in an index, and end this subshell at what is no number.
        case $next in '' | 0* | *[!0-9]* | ?????????*) next=10000 ;; esac
        pause=$((next / 1000))
        ;;
    esac
    while sleep 1; pause=$((pause - 1)); [ "$pause" -gt 0 ]; do
      ! is_left || return
      [ -z "$live" ] || send_live_output
    done
  done
}

# Gives what it starts a session of its own, so that all of it can be ended together.
DETACHING='detach() {
  case $DETACH in
    setsid) exec setsid "$@" ;;
    perl) exec perl -MPOSIX=setsid -e "setsid(); exec @ARGV" "$@" ;;
    *) exec "$@" ;;
  esac
}'
eval "$DETACHING"

# The guard of a command, as a script of its own in a session of its own: it outlives the worker however that ends, and then ends the command.
# It also ends the command at its timeout, or when the file "stop" says why. Arguments: the command, its timeout in seconds as the task
# has it, the folder, the CLI, and the seconds that a CLI may take to end after its result. Its exit code is the command's; the file "reason"
# says why it was ended, if it was.
GUARD='
exec 2> /dev/null
EXEC=$1 TIMEOUT=$2 DIR=$3 CLI=$4 GRACE=$5 AFTER_RESULT=$6
case $TIMEOUT in *.*) deadline=$((${TIMEOUT%.*} * 100 + 100)) ;; *) deadline=$((TIMEOUT * 100)) ;; esac
deadline=$(($(now) + deadline))
( detach sh -c "$EXEC" ) < "$DIR/prompt" > "$DIR/out" 2> "$DIR/err" &
command=$!
target=$command; [ -z "$DETACH" ] || target=-$command

worker_is_gone() {
  if [ -d /proc/self ]; then { read -r _ _ _ parent _ < /proc/$$/stat; } 2> /dev/null || return 0
  elif command -v ps > /dev/null 2>&1; then parent=$(ps -o ppid= -p $$ | tr -d " ")
  else ! kill -0 $PPID 2> /dev/null; return; fi
  [ "$parent" != $PPID ]
}
end() {
  echo "$1" > "$DIR/reason"
  kill -TERM $target
  for _ in 1 2 3 4 5; do kill -0 $target || return; sleep 1; done
  kill -KILL $target
}
# True when the CLI has said its result, as far as the last line of its output shows.
has_result() {
  case $CLI in
    claude) tail -n 1 "$DIR/out" | grep -Eq "^(\[.*)?\{\"type\": ?\"result\"" ;;
    codex) tail -n 1 "$DIR/out" | grep -Eq "^\{\"type\": ?\"turn\.(completed|failed)\"" ;;
    gemini) tail -n 1 "$DIR/out" | grep -Eq "^(\{.*)?\}[[:space:]]*\$" && tail -c 65536 "$DIR/out" | grep -Eq "\"(response|error)\" ?:" ;;
    opencode) tail -n 1 "$DIR/out" | grep -Eq "^\{\"type\": ?\"step_finish\".*\"reason\": ?\"stop\"" ;;
    *) false ;;
  esac
}
# True when the output has ended with a result, and nothing was added to it, for the time of grace. Only what does not grow is looked at.
is_overdue() {
  [ -n "$CLI" ] || return 1
  now_size=$(wc -c < "$DIR/out")
  if [ "$now_size" != "${size:-}" ]; then size=$now_size since=$(now) result=""; return 1; fi
  [ -n "$result" ] || { has_result && result=yes || result=no; }
  [ "$result" = yes ] && [ "$(now)" -ge $((since + GRACE * 100)) ]
}
watch() {
  while sleep 1; do
    if worker_is_gone; then end "was left by its worker"; rm -rf "$DIR"; return
    elif [ -s "$DIR/stop" ]; then end "$(cat "$DIR/stop")"; return
    elif [ "$(now)" -ge "$deadline" ]; then end "timed out after $TIMEOUT s"; return
    elif is_overdue; then end "$AFTER_RESULT"; return; fi
  done
}
watch < /dev/null > /dev/null 2>&1 &
watcher=$!
wait $command
code=$?
# A command that is being ended may have started others, which have the same time to end.
if [ -s "$DIR/reason" ]; then wait $watcher; else kill -KILL $watcher; fi
exit $code
'

# Reads what the task brings besides its prompt, each into a file and, where that is small enough for one, into a variable.
fetch_inputs() {
  : > "$DIR/input.context_hints"
  for input in $(field prompt inputs); do
    case $input in *[!a-z_]*) continue ;; esac
    for _ in 1 2 3; do
      call "input.$input" 60 "/llm-tasks/$TASK/input/$input" -H "X-Lease-Id: $LEASE"
      [ "$CODE" = 000 ] || break
    done
    [ "$CODE" = 200 ] || return 1
  done
}

run_command() {
  (
    BLOOM_TASK_ID=$TASK BLOOM_LEASE_ID=$LEASE BLOOM_TIMEOUT_SEC=$TIMEOUT
    BLOOM_CONTEXT_ID=$(field prompt context-id) BLOOM_AGENT_SLUG=$(field prompt agent-slug)
    BLOOM_DESIRED_FORMAT=$(field prompt desired-format) BLOOM_BUDGET=$(field prompt budget)
    BLOOM_AGENT_KIND=$(field prompt agent-kind) BLOOM_MODEL=$(field prompt model) BLOOM_MAX_USD=$(field prompt max-usd)
    BLOOM_MAX_TOKENS=$(field prompt max-tokens) BLOOM_MAX_TURNS=$(field prompt max-turns)
    BLOOM_RESUME_SESSION=$(field prompt resume-session)
    BLOOM_TRACEPARENT=$(field prompt traceparent)
    # The name that OpenTelemetry's libraries and the CLIs read. An empty one keeps the worker's own away from them.
    TRACEPARENT=$BLOOM_TRACEPARENT
    # What another worker said is its session must not be taken for an option.
    case $BLOOM_RESUME_SESSION in [!A-Za-z0-9]* | *[!A-Za-z0-9_.:-]*) BLOOM_RESUME_SESSION='' ;; esac
    export BLOOM_TASK_ID BLOOM_LEASE_ID BLOOM_TIMEOUT_SEC BLOOM_CONTEXT_ID BLOOM_AGENT_SLUG BLOOM_AGENT_KIND BLOOM_DESIRED_FORMAT \
      BLOOM_BUDGET BLOOM_MODEL BLOOM_MAX_USD BLOOM_MAX_TOKENS BLOOM_MAX_TURNS BLOOM_RESUME_SESSION BLOOM_TRACEPARENT TRACEPARENT
    for input in "$DIR"/input.*; do
      case $input in *.headers | *.fault) continue ;; esac
      name=BLOOM_$(printf '%s' "${input##*/input.}" | tr a-z A-Z)
      export "${name}_FILE=$input"
      # Linux takes no variable of more than 128 KB.
      [ "$(wc -c < "$input")" -gt 100000 ] || export "$name=$(cat "$input")"
    done
    detach sh -c "DETACH=$DETACH
$CLOCK
$DETACHING
$GUARD" guard "$EXEC" "$TIMEOUT" "$DIR" "$CLI" "$GRACE_SECONDS" "$AFTER_RESULT" < /dev/null
  ) &
  guard=$!
  await "$guard"
}

# What the failed command said last, with what became of it.
write_complaint() {
  {
    printf 'The command %s' "$1"
    [ ! -s "$DIR/err" ] || { printf ': '; tail -c 10000 "$DIR/err" | tr -d '\000'; }
  } > "$DIR/complaint"
}

complete_with_text() {
  call answer 60 "/llm-tasks/$TASK/complete?status=success&duration_ms=$DURATION&lease_id=$LEASE$PRINTED" \
    -H 'Content-Type: text/plain; charset=utf-8' --data-binary "@$DIR/out"
}
complete_with_fields() {
  call answer 60 "/llm-tasks/$TASK/complete" -d "lease_id=$LEASE" -d "duration_ms=$DURATION" "$@"
}
upload() { call answer "$KEEP_SECONDS" "/llm-tasks/$TASK/output" -T "$DIR/out" -H "X-Lease-Id: $LEASE"; }

# deliver <success or error>. A small output that is text goes into the completion. Any other is uploaded as it is, whatever its bytes are.
deliver() {
  size=$(($(wc -c < "$DIR/out"))) CODE=400 how="$size bytes as text"
  [ "$1" = error ] || [ "$size" -gt "$TEXT_BYTES" ] || insist complete_with_text
  case $CODE in 400 | 413 | 415) ;; *) return ;; esac
  set -- "$1" -d "status=$1"
  [ -z "$PRINTED" ] || set -- "$@" -d "${PRINTED#&}"
  [ -z "$KIND" ] || set -- "$@" -d "error_kind=$KIND"
  [ "$1" = success ] || set -- "$@" --data-urlencode "error_message@$DIR/complaint"
  if [ "$1" = success ] || [ "$size" -gt 0 ]; then
    how="$size bytes uploaded"
    insist upload
    output=$(field answer output-id)
    case $CODE:$output in
      201:?*) set -- "$@" -d "output_id=$output" ;;
      000:* | 401:* | 404:* | 408:* | 409:* | 429:* | 5??:*) return ;;
      *)
        how="an error, since the runtime refused the output"
        [ "$1" = error ] || write_complaint "ended well, but the runtime refused the output ($CODE) of $size bytes"
        set -- error -d status=error --data-urlencode "error_message@$DIR/complaint"
        ;;
    esac
  fi
  shift
  insist complete_with_fields "$@"
}

# Ends the worker's part in a task that it cannot do for a reason of its own.
give_up_task() {
  TROUBLES=$((TROUBLES + 1)) HANDED_BACK="$HANDED_BACK $TASK"
  rm -f "$DIR/out" "$DIR/err"
  kill -KILL "$keeper" 2> /dev/null
  release "$1" true
}
# True when the task was handed back MOST_HAND_BACKS times, so that the fault must be its own.
is_hopeless() {
  times=0
  for id in $HANDED_BACK; do [ "$id" != "$TASK" ] || times=$((times + 1)); done
  [ "$times" -ge "$MOST_HAND_BACKS" ]
}

execute() {
  rm -f "$DIR"/stop "$DIR"/reason "$DIR"/out "$DIR"/err "$DIR"/input.*
  # The answer to the claim is the prompt.
  TASK=$(field prompt task-id) LEASE=$(field prompt lease-id) TIMEOUT=$(field prompt timeout-sec)
  case $TASK$LEASE in '' | *[!0-9a-f-]*) warn "an answer to a claim names no task"; return ;; esac
  case $TIMEOUT in '' | *[!0-9.]*) warn "an answer to a claim has no timeout"; return ;; esac
  [ -z "$DRAINING" ] || { release 'the worker drains'; return; }
  cd -- "$FOLDER" 2> /dev/null || {
    TROUBLES=$((TROUBLES + 1)) fault="the folder $FOLDER, in which its command runs, cannot be entered"
    release "$fault" true
    rest "$TROUBLES" "$fault"
    return
  }
  fetch_inputs || { release 'the task could not be fetched whole'; rest 1 'a task could not be fetched'; return; }
  started=$(now)
  keep_lease &
  keeper=$!
  run_command
  code=$EXIT DURATION=$((($(now) - started) * 10)) reason=''
  [ "$code" = 0 ] || reason="ended with code $code"
  [ ! -s "$DIR/reason" ] || reason=$(cat "$DIR/reason")
  finish
  # A call that the keeper has begun ends by itself within 5 s.
  kill -KILL "$keeper" 2> /dev/null
  wait "$keeper" 2> /dev/null
}

finish() {
  if [ -n "$STOPPING" ]; then release 'the worker was stopped' true; return; fi
  fault=''
  case $code in 126 | 127) fault="its command could not be run (exit code $code): $(tail -c 300 "$DIR/err" | tr -d '\000' | tail -n 1)" ;; esac
  have_room || fault="its temporary folder is full"
  if [ -n "$fault" ] && ! is_hopeless; then
    give_up_task "$fault"
    # A command that never ran here, or is gone, will not run the next time either.
    case $code in 126 | 127) [ -n "$RAN_WELL" ] && [ -z "$(command_fault)" ] || { BROKEN=$fault; return; } ;; esac
    rest "$TROUBLES" "$fault"
    return
  fi
  [ -z "$fault" ] || reason="could not be run: $fault"
  # With a CLI the runtime reads what it printed. How the command ended is not said where the worker ended it.
  PRINTED='' KIND=''
  if [ -n "$CLI" ] && [ -z "$fault" ]; then
    PRINTED="&cli=$CLI"
    [ -s "$DIR/reason" ] || PRINTED="$PRINTED&exit_code=$code"
  fi
  case $reason in "$AFTER_RESULT") reason='' ;; 'timed out after '*) KIND=timeout ;; esac
  RAN_WELL=1 TROUBLES=0 status=success
  if [ -n "$reason" ]; then
    status=error
    write_complaint "$reason"
  fi
  deliver "$status"
  # The runtime rests the worker or its account by itself for other kinds than these.
  case $CODE:$PRINTED:$(field answer result-status):$(field answer error-kind) in
    200:?*:success:*) status=success ;;
    200:?*:error: | 200:?*:error:crashed | 200:?*:error:parse_error) status=error ;;
    200:?*:error:*) status="error, $(field answer error-kind)" ;;
  esac
  said=''
  [ "$status" = success ] || [ -z "$PRINTED" ] || said=$(field answer error-message)
  [ -n "$said" ] || [ -z "$reason" ] || said=$(head -c 300 "$DIR/complaint")
  case $CODE:$status in
    200:error) warn "task $TASK: error$(field answer error-kind | sed 's/^/, /') after $DURATION ms, $how${said:+: $said}" ;;
    200:error*) warn "task $TASK: $status after $DURATION ms, $how${said:+: $said}" ;;
    200:*) log "task $TASK: $status after $DURATION ms, $how" ;;
    *) warn "task $TASK: $status after $DURATION ms, but its result was not taken: $WHY${said:+. $said}" ;;
  esac
  if [ "$status" != error ] || [ -s "$DIR/reason" ] || [ "$DURATION" -ge $((FAST_SECONDS * 1000)) ]; then FAILURES=0
  else
    FAILURES=$((FAILURES + 1))
    # Leases are not kept while it rests: the task has ended.
    [ "$FAILURES" -lt 2 ] || { kill -KILL "$keeper" 2> /dev/null; rest $((FAILURES - 1)) "its command failed $FAILURES times in a row"; }
  fi
}

# --------------------------------------------------------------------------------------------------------- the worker

go_offline() {
  # Otherwise the runtime gives this worker work for another minute, until its silence is noticed.
  call answer 5 /workers -d "name=$NAME" -d "boot_id=$BOOT_ID" -d status=offline -d max_concurrency=1 -d install_method=worker.sh \
    -d "labels=$(printf '%s' "$LABELS" | sed 's/,/\&labels=/g')" --data-urlencode "os_info=$(uname -srm)" \
      ${ACCOUNT:+--data-urlencode "account=$ACCOUNT"}
}

read_options "$@"
KEY_FILE=${RUNTIME_API_KEY_FILE:-}
unset RUNTIME_API_KEY_FILE
enter_folder
load_key
unset RUNTIME_API_KEY
check_machine
take_pid_file
BOOT_ID=$(cat /proc/sys/kernel/random/uuid 2> /dev/null || echo "$$-$(date +%s)") BROKEN=''
trap '[ -z "$DIR" ] || rm -rf "$DIR"; [ -z "$PID_FILE" ] || rm -f "$PID_FILE"' EXIT
trap 'log "draining: no new work${WAITING:+, but $WAITING. It is offered for an hour; HUP gives it up}"; DRAINING=1' TERM INT
trap 'DRAINING=1 STOPPING=1; [ -z "$DIR" ] || echo "was stopped with its worker" > "$DIR/stop"' HUP
have_room || fail "No file can be written into ${TMPDIR:-/tmp}, where this worker keeps prompts and outputs. Make room, or set TMPDIR."
log "its command runs in $FOLDER${because:+, since $because}"
register first
log "worker $NAME waits for tasks of $SERVER"

while [ -z "$DRAINING" ] && [ -z "$BROKEN" ]; do
  if ! have_room; then
    TROUBLES=$((TROUBLES + 1))
    rest "$TROUBLES" "no file can be written into ${TMPDIR:-/tmp}"
    continue
  fi
  call prompt 15 /llm-tasks/claim -d "worker_id=$NAME" -d "wait_seconds=$WAIT_SECONDS" -d "ttl_seconds=$LEASE_SECONDS"
  case $CODE in
    200) SAID='' && execute ;;
    204) SAID='' ;;
    404) register again ;;
    400) fail "The runtime does not take this worker's claims: $WHY" ;;
    401 | 403 | 429)
      # Each refused key counts, and too many lock out all that come from this address.
      warn "no work: $WHY"
      load_key || nap 30
      ;;
    *)
      # 23 says that curl could not write what came. Its headers came first, and name the lease that must not be left lying.
      if [ "$EXIT" = 23 ] && LEASE=$(field prompt lease-id) && [ -n "$LEASE" ]; then
        TASK=$(field prompt task-id)
        release 'the prompt did not fit into the temporary folder of the worker'
      fi
      # A rest may take hours: its reason is said once.
      [ -n "$DRAINING" ] || [ "$WHY" = "$SAID" ] || warn "no work: $WHY"
      SAID=$WHY seconds=2
      # This worker or its account rests, and the runtime says for how long; somebody may end that earlier.
      [ "$CODE" != 409 ] || seconds=$(sed -n 's/^[Rr]etry-[Aa]fter: *\([0-9]\{1,6\}\).*/\1/p' "$DIR/prompt.headers" 2> /dev/null)
      [ "${seconds:=2}" -le "$MOST_REST" ] || seconds=$MOST_REST
      nap "$seconds"
      ;;
  esac
done
# The worker's record then says why it has ended, until it is started anew.
[ -z "$BROKEN" ] || call answer 5 "/workers/$NAME/rest" -d "seconds=$SAID_FOR" --data-urlencode "reason=$BROKEN"
go_offline
[ -z "$BROKEN" ] || { warn "no more work is taken, since $BROKEN. Mend that and start the worker again."; exit 1; }
