# shellcheck shell=bash
# The one place for versions and settings. `scripts/kafka settings` prints it; docker-compose.kafka.yml says the same in its
# own words, and tests/compose.rs compares the two. A setting changed in one of them alone breaks that test.

KAFKA_VERSION=4.1.0
REGISTRY_VERSION=3.3.3
# Kafka's artifacts bring log4j 2.24.3 but no binding for slf4j: without this jar the broker logs nothing at all.
LOG4J_VERSION=2.24.3
# What their class files ask for, or newer.
BROKER_JAVA=17
REGISTRY_JAVA=21

versions_settings() {
    echo "kafka=$KAFKA_VERSION"
    echo "registry=$REGISTRY_VERSION"
}

broker_settings() {
    cat <<END
# One process is broker and controller; listeners are for this machine only.
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((PORT + 1))
listeners=PLAINTEXT://127.0.0.1:$PORT,CONTROLLER://127.0.0.1:$((PORT + 1))
advertised.listeners=PLAINTEXT://127.0.0.1:$PORT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=$DIR/data

# One broker can hold one replica. Few partitions of the internal topics start faster.
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1

# A typo must not make a topic.
auto.create.topics.enable=false

# Groups: the first member does not wait for others; short sessions may be asked for; both rebalance protocols are on,
# and where the session is the broker's (KIP-848) a dead member is noticed as soon as with the classic one.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.coordinator.rebalance.protocols=classic,consumer
group.consumer.session.timeout.ms=6000
group.consumer.min.session.timeout.ms=1000
group.consumer.heartbeat.interval.ms=1000
group.consumer.min.heartbeat.interval.ms=500

# A dead instance's open transaction holds its readers back until its timeout and this sweep (10 s by default).
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000

# After SIGKILL the broker is let in again when the session of the one that died has passed (9 s by default).
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500

# The log cleaner takes this much of the heap at start, 128 MiB by default; here it compacts little.
log.cleaner.dedupe.buffer.size=16777216
END
}

registry_settings() {
    cat <<END
# Schemas and their ids outlive the registry's process: every commit is in the file before it is answered (by default, half a
# second later). Its other lasting storage, a journal in Kafka, is worse for us: for a moment after a start it answers with a part
# of what it holds, and an id that it does not know yet looks like one that nobody ever gave.
apicurio.storage.kind=sql
apicurio.datasource.url=jdbc:h2:file:$DIR/registry/schemas;WRITE_DELAY=0
# Its own default is NONE. Topics are replayed from their beginning, so that a new schema must read all that was ever written.
apicurio.rules.global.compatibility=BACKWARD_TRANSITIVE
quarkus.http.host=127.0.0.1
quarkus.http.port=$REGISTRY_PORT
quarkus.http.access-log.enabled=false
# Its management interface would take port 9000 on every address; 0 is any free one.
quarkus.management.host=127.0.0.1
quarkus.management.port=0
END
}

REGISTRY_API=/apis/ccompat/v7

# What the broker says goes to standard output and from there to broker.log.
broker_log4j() {
    cat <<END
status=warn
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=[%d] %p %m (%c{1})%n%throwable
rootLogger.level=info
rootLogger.appenderRef.out.ref=out
# These print every setting, several times.
logger.config.name=org.apache.kafka.common.config
logger.config.level=warn
logger.kafkaconfig.name=kafka.server.KafkaConfig
logger.kafkaconfig.level=warn
logger.logconfig.name=org.apache.kafka.storage.internals.log.LogConfig
logger.logconfig.level=warn
END
}
