# shellcheck shell=bash
# Builds a peer that runs on the JVM: its pom.xml and sources go into CACHE/NAME, which appears complete, by a rename, or not at all.
# `build` notes there which Java it found, so that `run` spends no CPU on looking for one.

MISSING=3
fail() {
    local code=$1
    shift
    printf 'error: %s\n' "$*" >&2
    exit "$code"
}

peer=$(cd "$(dirname "$0")" && pwd)
name=${peer##*/}
scripts=$(cd "$peer/../../../scripts/kafka.d" && pwd)
# shellcheck source=../../scripts/kafka.d/settings.sh
. "$scripts/settings.sh"
# shellcheck source=../../scripts/kafka.d/install.sh
. "$scripts/install.sh"

# What the compiled classes ask for (pom.xml), or newer.
PEER_JAVA=17

build_peer() {
    local cache=$1 home maven stamp new
    home=$(find_jdk)
    stamp=$(sources_stamp "$home")
    if [ "$(cat "$cache/$name/stamp" 2>/dev/null)" = "$stamp" ]; then
        return
    fi
    maven=$(find_maven "the libraries of the peer $name")
    mkdir -p "$cache"
    new=$(mktemp -d "$cache/.$name.XXXXXX")
    # shellcheck disable=SC2064 # the folder of now is meant
    trap "rm -rf '$new'" EXIT
    JAVA_HOME=$home "$maven" --quiet --batch-mode -Dstyle.color=never --file "$peer/pom.xml" "-Dout=$new" \
        compile dependency:copy-dependencies "-DoutputDirectory=$new/lib" -DincludeScope=runtime >&2
    echo "$home/bin/java" >"$new/java"
    echo "$stamp" >"$new/stamp"
    rm -rf "${cache:?}/$name"
    mv "$new" "$cache/$name"
}

# Prints the first home of a Java that is new enough and can compile.
find_jdk() {
    local home version
    while read -r home; do
        [ -n "$home" ] || continue
        version=$(java_version "$home")
        if [ "${version:-0}" -ge "$PEER_JAVA" ] && [ -x "$home/bin/javac" ]; then
            echo "$home"
            return
        fi
    done < <(java_homes)
    fail "$MISSING" "the peer $name needs a JDK (\`javac\`, not only \`java\`) of version $PEER_JAVA or newer; install one (Debian: \
\`openjdk-$PEER_JAVA-jdk-headless\`, where the release has it; macOS: \`brew install openjdk\`; or Temurin's) or point JAVA_HOME at it"
}

# Changes when anything does that goes into the build.
sources_stamp() {
    {
        echo "$1"
        find "$peer/pom.xml" "$peer/src" "$peer/../jvm.sh" -type f -exec cksum {} + | sort
    } | cksum
}
