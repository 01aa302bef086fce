# shellcheck shell=bash
# Finds Java and Maven, and fetches Kafka and the registry once per user. A folder of the cache appears complete, by a rename,
# or not at all: neither two downloads at once nor one killed half-way can leave half a folder behind. Maven checks checksums.

KAFKA_POM=$(cat <<END
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>tidegate</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$KAFKA_VERSION</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$KAFKA_VERSION</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>$LOG4J_VERSION</version></dependency>
  </dependencies>
</project>
END
)
REGISTRY_ARTIFACT=io.apicurio:apicurio-registry-app:$REGISTRY_VERSION:tar.gz:all
DEPENDENCY_PLUGIN=org.apache.maven.plugins:maven-dependency-plugin:3.6.1

# Prints where a Java may be, most wanted first. TIDEGATE_JAVA_HOMES (separated by colons) replaces the usual places.
java_homes() {
    if [ -n "${TIDEGATE_JAVA_HOMES+set}" ]; then
        tr ':' '\n' <<<"$TIDEGATE_JAVA_HOMES"
        return
    fi
    local on_path
    [ -z "${JAVA_HOME:-}" ] || echo "$JAVA_HOME"
    if on_path=$(command -v java); then
        on_path=$(real_path "$on_path")
        echo "${on_path%/bin/java}"
    fi
    local home
    for home in /usr/lib/jvm/* /opt/java/* "$HOME"/.sdkman/candidates/java/* "$HOME"/.jdks/* \
        /Library/Java/JavaVirtualMachines/*/Contents/Home "$HOME"/Library/Java/JavaVirtualMachines/*/Contents/Home \
        /opt/homebrew/opt/openjdk*/libexec/openjdk.jdk/Contents/Home; do
        echo "$home"
    done
    [ ! -x /usr/libexec/java_home ] || /usr/libexec/java_home 2>/dev/null || true
}

real_path() {
    readlink -f "$1" 2>/dev/null || echo "$1"
}

# Prints the major version of the Java in a home, or nothing.
java_version() {
    [ -x "$1/bin/java" ] || return 0
    local version
    version=$(sed -n 's/^JAVA_VERSION="\([0-9]*\).*/\1/p' "$1/release" 2>/dev/null || true)
    if [ -z "$version" ]; then
        version=$("$1/bin/java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1 || true)
    fi
    echo "$version"
}

# find_java MINIMUM WHAT: prints the first home whose Java is new enough; else says what was found and what is missing.
find_java() {
    local home version found=""
    while read -r home; do
        [ -n "$home" ] || continue
        version=$(java_version "$home")
        [ -n "$version" ] || continue
        if [ "$version" -ge "$1" ]; then
            echo "$home"
            return
        fi
        found="$found${found:+, }$version in \`$home\`"
    done < <(java_homes)
    fail "$MISSING" "$2 needs Java $1 or newer; found: ${found:-none}. Install one (Debian: \`openjdk-$1-jre-headless\`, \
where the release has it; macOS: \`brew install openjdk\`; or Temurin's) or point JAVA_HOME at it"
}

find_maven() {
    local candidate
    for candidate in "$(command -v mvn || true)" "${MAVEN_HOME:-/nowhere}/bin/mvn" /opt/maven/bin/mvn /usr/share/maven/bin/mvn \
        "$HOME/.sdkman/candidates/maven/current/bin/mvn" /opt/homebrew/bin/mvn /usr/local/bin/mvn; do
        if [ -x "$candidate" ]; then
            echo "$candidate"
            return
        fi
    done
    fail "$MISSING" "Maven is needed once, to fetch $1, and there is no \`mvn\`; install it (Debian: \`maven\`, macOS: \`brew install maven\`)"
}

# fetched NAME FUNCTION: runs FUNCTION STAGE under the cache's lock unless the folder NAME is there already.
fetched() {
    [ ! -d "$CACHE/$1" ] || return 0
    mkdir -p "$CACHE"
    (
        lock 8 "$CACHE/.lock" "another download" 600
        [ ! -d "$CACHE/$1" ] || exit 0
        # With the lock held, a stage that exists belongs to a process that was killed.
        [ "$LOCKS" = no ] || rm -rf "$CACHE"/.stage.*
        stage=$(mktemp -d "$CACHE/.stage.XXXXXX")
        # The path is fixed now: the trap runs when the variable is gone.
        # shellcheck disable=SC2064
        trap "rm -rf '$stage'" EXIT
        say "fetching $1, once, into \`$CACHE\`"
        "$2" "$stage/content"
        publish "$stage/content" "$CACHE/$1"
    )
}

# publish FROM TO: a rename that never puts FROM into an existing TO, where mv can be told so.
publish() {
    if mv --version >/dev/null 2>&1; then
        mv -T "$1" "$2"
    elif [ ! -d "$2" ]; then
        mv "$1" "$2"
    fi
}

fetch_kafka() {
    mkdir -p "$1"
    printf '%s\n' "$KAFKA_POM" >"$1/pom.xml"
    maven "Kafka $KAFKA_VERSION" "$1" -f "$1/pom.xml" "$DEPENDENCY_PLUGIN:copy-dependencies" \
        -DincludeScope=runtime -DoutputDirectory="$1/lib"
}

fetch_registry() {
    mkdir -p "$1"
    maven "the registry $REGISTRY_VERSION" "$1" "$DEPENDENCY_PLUGIN:copy" \
        -Dartifact="$REGISTRY_ARTIFACT" -DoutputDirectory="$1"
    tar -xzf "$1"/*.tar.gz -C "$1" || fail "$DOWNLOAD" "the registry's archive could not be unpacked into \`$1\`"
    rm "$1"/*.tar.gz
    [ -f "$1/quarkus-run.jar" ] || fail "$DOWNLOAD" "the artifact \`$REGISTRY_ARTIFACT\` holds no \`quarkus-run.jar\`"
}

# maven WHAT FOLDER ARGUMENTS…: in that folder, so that no pom.xml of the current one is read.
maven() {
    local what=$1 folder=$2 mvn java
    mvn=$(find_maven "$what")
    java=$(find_java "$BROKER_JAVA" Maven)
    shift 2
    if ! (cd "$folder" && JAVA_HOME=$java "$mvn" -B -q -Dstyle.color=never --strict-checksums "$@") >"$folder/maven.log" 2>&1 </dev/null; then
        tail -n 15 "$folder/maven.log" >&2
        fail "$DOWNLOAD" "Maven could not fetch $what; its words stand above. The same command tries again"
    fi
}
