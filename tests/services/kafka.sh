#!/bin/sh
# Apache Kafka for the tests: real brokers on ports of 127.0.0.1, without
# ZooKeeper; each is a controller too.
#
#   kafka.sh install [JARS]         downloads Kafka, once, with Maven (target/kafka)
#   kafka.sh start N DIR [--sasl]   starts N brokers (1 or 3), prints ID PORT PID of each
#   kafka.sh stop DIR               ends them
#   kafka.sh kill ID DIR            ends one at once, as a crash would
#   kafka.sh restart ID DIR         starts it again on the same data; prints ID PORT PID
#   kafka.sh tool CLASS ARG...      runs a tool of Kafka: org.apache.kafka.tools.TopicCommand
#
# What `start` is made of, for a caller that keeps the brokers as its children:
#
#   kafka.sh prepare N DIR [--sasl] makes their settings and storage, prints ID PORT of each
#   kafka.sh run ID DIR             becomes the broker
#   kafka.sh ready DIR [ID]         waits until they can be used
#
# With --sasl a client has to log in: SASL_PLAINTEXT, PLAIN, test, test-secret.
#
# FAAS_TEST_KAFKA_JARS   where Kafka is (target/kafka)
# FAAS_TEST_KAFKA_HOST   an address that clients use instead of 127.0.0.1
# FAAS_TEST_KAFKA_LOG    how much a broker logs to DIR/ID/log (warn)
set -eu

JAVA_MIN=17

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
jars=${FAAS_TEST_KAFKA_JARS:-$root/target/kafka}
java=${JAVA_HOME:+$JAVA_HOME/bin/}java
wire=$here/kafka/wire.py
host=${FAAS_TEST_KAFKA_HOST:-127.0.0.1}
listen=${FAAS_TEST_KAFKA_HOST:+0.0.0.0}
listen=${listen:-127.0.0.1}

fail() { # WHAT-CANNOT-BE-DONE REASON WHAT-TO-TRY
    echo "kafka.sh: cannot $1: $2" >&2
    echo "  try: $3" >&2
    exit 69
}

usage() {
    sed -n '/^#   kafka.sh/s/^#   //p' "$0" >&2
    exit 64
}

need() { # PROGRAM WHAT-IT-IS-FOR
    command -v "$1" >/dev/null 2>&1 || fail "$2" "there is no $1 here" "scripts/deps.sh test"
}

need_java() { # WHAT-IT-IS-FOR
    need "$java" "$1"
    version=$("$java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p')
    [ "${version:-0}" -ge $JAVA_MIN ] ||
        fail "$1" "it needs Java $JAVA_MIN or newer, $java is ${version:-not one}" \
            "install a newer one; or JAVA_HOME=FOLDER of one"
}

is_installed() { cmp -s "$here/kafka/pom.xml" "$jars/installed"; }

# The list of what was asked for is written last and the folder gets its name
# after that, so what was cut short is begun again.
install() {
    need_java "install Kafka"
    if is_installed; then return; fi
    need mvn "install Kafka"
    need flock "install Kafka"
    mkdir -p "$(dirname "$jars")"
    jars=$(cd "$(dirname "$jars")" && pwd)/$(basename "$jars") # Maven has a folder of its own
    # The kernel gives the lock back however its holder ends.
    exec 9>"$jars.lock"
    flock 9
    if is_installed; then return; fi
    rm -rf "$jars" "$jars.new"
    mvn -B -q -f "$here/kafka/pom.xml" dependency:copy-dependencies \
        -DoutputDirectory="$jars.new" >&2 9>&- ||
        fail "install Kafka" "Maven could not download it" \
            "is its repository reachable? see the mirrors in ~/.m2/settings.xml"
    cp "$here/kafka/pom.xml" "$jars.new/installed"
    mv "$jars.new" "$jars"
}

# The first compiler alone and the small collector: a broker is up sooner and
# leaves more of a small machine to the tests.
run_java() { # MEMORY CLASS ARG...
    memory=$1
    shift
    exec "$java" "-Xmx$memory" -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto \
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=${FAAS_TEST_KAFKA_LOG:-warn}" \
        -Dorg.slf4j.simpleLogger.showDateTime=true \
        -Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS -cp "$jars/*" "$@"
}

listeners() { # CLIENT-PORT BROKER-PORT CONTROLLER-PORT CLIENT-PROTOCOL
    cat <<EOF
listeners=CLIENT://$listen:$1,BROKER://127.0.0.1:$2,CONTROLLER://127.0.0.1:$3
advertised.listeners=CLIENT://$host:$1,BROKER://127.0.0.1:$2
listener.security.protocol.map=CLIENT:$4,BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
EOF
    [ "$4" = SASL_PLAINTEXT ] || return 0
    cat <<EOF
sasl.enabled.mechanisms=PLAIN
listener.name.client.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule \
required user_test="test-secret";
EOF
}

# Small internal topics and short waits: a test should not wait for what only
# matters with thousands of clients. Sessions stay long enough for a machine
# that is busy with a build.
settings() { # BROKERS
    cat <<EOF
auto.create.topics.enable=false
default.replication.factor=$1
min.insync.replicas=$(($1 / 2 + 1))
offsets.topic.replication.factor=$1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=$1
transaction.state.log.min.isr=$(($1 / 2 + 1))
transaction.state.log.num.partitions=4
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
num.network.threads=1
num.io.threads=4
num.recovery.threads.per.data.dir=1
log.cleaner.dedupe.buffer.size=4194304
EOF
}

prepare() { # BROKERS DIR [--sasl]
    case $1 in 1 | 3) ;; *) usage ;; esac
    case ${3:-} in '') protocol=PLAINTEXT ;; --sasl) protocol=SASL_PLAINTEXT ;; *) usage ;; esac
    need_java "start Kafka"
    need python3 "start Kafka"
    is_installed || fail "start Kafka" "it is not installed in $jars" "tests/services/kafka.sh install"
    mkdir -p "$2"
    dir=$(cd "$2" && pwd -P)
    ! [ -e "$dir/1" ] || fail "start Kafka" "$dir has brokers already" "another folder"
    cluster=$("$wire" id)
    # shellcheck disable=SC2046 # the ports are meant to be split
    set -- "$1" $("$wire" ports $(($1 * 3)))
    brokers=$1
    shift
    voters=
    for id in $(seq "$brokers"); do
        mkdir "$dir/$id"
        echo "$1 $2 $3" >"$dir/$id/ports"
        voters=$voters${voters:+,}$id@127.0.0.1:$3
        listeners "$1" "$2" "$3" "$protocol" >"$dir/$id/server.properties"
        shift 3
    done
    format
}

# All at once: most of it is waiting for Java.
format() {
    formatting=
    for id in $(seq "$brokers"); do
        {
            echo "process.roles=broker,controller"
            echo "node.id=$id"
            echo "controller.quorum.voters=$voters"
            echo "log.dirs=$dir/$id/data"
            settings "$brokers"
        } >>"$dir/$id/server.properties"
        (run_java 128m kafka.tools.StorageTool format -t "$cluster" \
            -c "$dir/$id/server.properties") >"$dir/$id/log" 2>&1 &
        formatting="$formatting $id:$!"
    done
    for each in $formatting; do
        id=${each%:*}
        wait "${each#*:}" || {
            tail -n 5 "$dir/$id/log" >&2
            fail "start Kafka" "its storage cannot be made" "see $dir/$id/log"
        }
        read -r port _ <"$dir/$id/ports"
        echo "$id $port"
    done
}

broker() { # ID DIR
    dir=$(cd "$2" 2>/dev/null && pwd -P) || fail "find broker $1" "there is no $2" "kafka.sh start N $2"
    [ -e "$dir/$1/server.properties" ] ||
        fail "find broker $1" "there is none in $dir" "one of: $(cd "$dir" && echo [0-9]*)"
}

# Its pid stays the shell's that runs this: nobody is between a broker and
# whoever started it.
run() { # ID DIR
    broker "$1" "$2"
    echo $$ >"$dir/$1/pid"
    run_java 384m kafka.Kafka "$dir/$1/server.properties" >>"$dir/$1/log" 2>&1
}

ready() { # DIR [ID]
    why=$("$wire" ready "$@" 2>&1) && return
    grep -h -m 3 -E 'ERROR|Exception' "$1/"[0-9]*/log >&2 || true
    fail "start Kafka" "$why" "see $1/ID/log; FAAS_TEST_KAFKA_LOG=info for more"
}

# In a session of its own: what ends this terminal's programs does not end it.
launch() { # ID DIR
    rm -f "$2/$1/pid"
    setsid "$here/kafka.sh" run "$1" "$2" </dev/null >/dev/null 2>&1 &
    launched=$!
}

show() { # ID PID
    read -r port _ <"$dir/$1/ports"
    echo "$1 $port $2"
}

start() { # BROKERS DIR [--sasl]
    prepare "$@" >/dev/null
    started=
    for id in $(seq "$brokers"); do
        launch "$id" "$dir"
        started="$started $id:$launched"
    done
    (ready "$dir") || {
        code=$?
        stop "$dir"
        exit $code
    }
    for each in $started; do show "${each%:*}" "${each#*:}"; done
}

# Sets pid to the broker's; fails if it does not run. A pid may be another's by
# now: the command line says whose it is.
running() { # ID
    pid=$(cat "$dir/$1/pid" 2>/dev/null) &&
        tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -Fq " $dir/$1/server.properties "
}

gone() { # ID TENTHS-OF-A-SECOND
    for _ in $(seq "$2"); do
        running "$1" || return 0
        sleep 0.1
    done
    return 1
}

end() { # SIGNAL ID
    if running "$2"; then kill "-$1" "$pid"; fi
}

# Three at once have nobody to hand their work to, and would wait for it: after
# a while they are ended anyhow.
stop() { # DIR
    dir=$(cd "$1" 2>/dev/null && pwd -P) || fail "stop Kafka" "there is no $1" "kafka.sh start N $1"
    ids=$(cd "$dir" && ls -d [0-9]*)
    for id in $ids; do end TERM "$id"; done
    for id in $ids; do
        gone "$id" 30 || end KILL "$id"
        gone "$id" 50 || fail "stop broker $id" "pid $pid does not end" "ps $pid"
        rm -f "$dir/$id/pid"
    done
}

crash() { # ID DIR
    broker "$1" "$2"
    end KILL "$1"
    gone "$1" 50 || fail "kill broker $1" "pid $pid does not end" "ps $pid"
    rm -f "$dir/$1/pid"
}

restart() { # ID DIR
    crash "$1" "$2"
    launch "$1" "$dir"
    ready "$dir" "$1"
    show "$1" "$launched"
}

what=${1:-}
[ $# -eq 0 ] || shift
case $what:$# in
install:[01]) jars=${1:-$jars} && install ;;
start:[23]) start "$@" ;;
stop:1) stop "$1" ;;
kill:2) crash "$@" ;;
restart:2) restart "$@" ;;
tool:[1-9]*) run_java 128m "$@" ;;
prepare:[23]) prepare "$@" ;;
run:2) run "$@" ;;
ready:[12]) ready "$@" ;;
*) usage ;;
esac
