# shellcheck shell=bash
# What `--secure` adds: a certificate authority that signs one certificate and whose key is thrown away, and a user for each SASL
# mechanism, named after it and known to that mechanism only: whoever gets in by the wrong one has found a fault.

SECURE_USERS="plain scram-sha-256 scram-sha-512"

# make_secrets: once per instance; the folder appears complete.
make_secrets() {
    [ ! -d "$DIR/secure" ] || return 0
    command -v openssl >/dev/null || fail "$MISSING" "--secure needs \`openssl\` to make certificates"
    local new user
    new=$(mktemp -d "$DIR/.secure.XXXXXX")
    (umask 077 && certificates "$new") >"$DIR/openssl.log" 2>&1 || {
        cat "$DIR/openssl.log" >&2
        fail "$FAILED" "openssl could not make the certificates; its words stand above"
    }
    rm -f "$DIR/openssl.log"
    for user in $SECURE_USERS; do
        (umask 077 && random_id | tr -d '\n' >"$new/$user.password")
    done
    mv "$new" "$DIR/secure"
}

# One chain: where the caller tests the outcome, `set -e` is off.
certificates() {
    cd "$1" &&
        openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=Tidegate throw-away CA" -keyout ca.key -out ca.pem &&
        openssl req -new -newkey rsa:2048 -nodes -subj "/CN=localhost" -keyout server.key -out server.csr &&
        printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n' >server.ext &&
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -extfile server.ext -out server.pem &&
        openssl pkcs8 -topk8 -nocrypt -in server.key -out server.pkcs8 &&
        # Kafka reads a key in PKCS #8 and its chain from one file.
        cat server.pkcs8 server.pem ca.pem >keystore.pem &&
        rm -f ca.key ca.srl server.csr server.ext server.pkcs8
}

# One `--add-scram` per user, for the tool that formats the data; in a file, since an argument shows in the process list.
scram_arguments() {
    local user mechanism
    for user in $SECURE_USERS; do
        case $user in scram-sha-256) mechanism=SCRAM-SHA-256 ;; scram-sha-512) mechanism=SCRAM-SHA-512 ;; *) continue ;; esac
        echo "--add-scram"
        echo "$mechanism=[name=$user,password=$(cat "$DIR/secure/$user.password")]"
    done
}

secure_broker_settings() {
    local sasl=listener.name.sasl_ssl modules=org.apache.kafka.common.security
    cat <<END

# TLS, with a user at PORT + 2 and without at PORT + 3.
listeners=PLAINTEXT://127.0.0.1:$PORT,CONTROLLER://127.0.0.1:$((PORT + 1)),SASL_SSL://127.0.0.1:$((PORT + 2)),SSL://127.0.0.1:$((PORT + 3))
advertised.listeners=PLAINTEXT://127.0.0.1:$PORT,SASL_SSL://127.0.0.1:$((PORT + 2)),SSL://127.0.0.1:$((PORT + 3))
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL
ssl.keystore.type=PEM
ssl.keystore.location=$DIR/secure/keystore.pem
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
$sasl.plain.sasl.jaas.config=$modules.plain.PlainLoginModule required user_plain="$(cat "$DIR/secure/plain.password")";
$sasl.scram-sha-256.sasl.jaas.config=$modules.scram.ScramLoginModule required;
$sasl.scram-sha-512.sasl.jaas.config=$modules.scram.ScramLoginModule required;
END
}

secure_registry_settings() {
    cat <<END
quarkus.http.ssl-port=$((REGISTRY_PORT + 1))
quarkus.http.ssl.certificate.files=$DIR/secure/server.pem
quarkus.http.ssl.certificate.key-files=$DIR/secure/server.key
END
}

say_secrets() {
    say "TLS with SASL at 127.0.0.1:$((PORT + 2)), TLS alone at 127.0.0.1:$((PORT + 3)); the CA is \`$DIR/secure/ca.pem\`"
    [ "$REGISTRY_PORT" = none ] || say "the registry by TLS: https://127.0.0.1:$((REGISTRY_PORT + 1))$REGISTRY_API"
    local user
    for user in $SECURE_USERS; do
        say "user \`$user\` (by that mechanism only): password in \`$DIR/secure/$user.password\`"
    done
}
