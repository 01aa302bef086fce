//! TLS and SASL: flags on top of librdkafka's properties.
//!
//! `security.protocol` is put together from what was asked for, because a flag that stood for the whole of it would take
//! away what another place asked for: `--sasl` on top of a file that says `SASL_SSL` must not end in plain text.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context as _, Result};

use super::args::SecurityArgs;
use super::of_flag;
use super::properties::{Properties, Property};
use crate::config::Given;
use crate::config::secret::{self, Secret};
use crate::config::source::Source;
use crate::exit::Exit;

const PROTOCOL: &str = "security.protocol";
const MECHANISM: &str = "sasl.mechanisms";
const USER: &str = "sasl.username";
const PASSWORD: &str = "sasl.password";

/// Adds what the flags say.
pub(super) fn apply(
    properties: &mut Properties,
    args: &SecurityArgs,
    given: &Given,
    warnings: &mut Vec<String>,
) -> Result<()> {
    for (flag, name, file) in [
        ("tls-ca", "ssl.ca.location", &args.tls_ca),
        ("tls-cert", "ssl.certificate.location", &args.tls_cert),
        ("tls-key", "ssl.key.location", &args.tls_key),
    ] {
        if let Some(file) = file {
            properties.set(name, of_flag(flag, must_be_readable(file)?, given))?;
        }
    }
    if let Some(mechanism) = args.sasl {
        properties.set(MECHANISM, of_flag("sasl", mechanism.name(), given))?;
    }
    if let Some(user) = &args.user {
        properties.set(USER, of_flag("user", user, given))?;
    }
    let file = args.password_file.as_deref();
    if let Some(password) = password("password", "password-file", file, given, warnings)? {
        properties.set(PASSWORD, password)?;
    }
    let protocol = protocol(properties, args)?;
    let uses_sasl = protocol.starts_with("SASL");
    if uses_sasl {
        check_login(properties, args)?;
    } else if let Some(flag) = login_flag(args) {
        let message = format!("`--{flag}` is for logging in, and no way to do so is named; give --sasl too");
        return Err(Exit::Usage.because(message));
    } else {
        // A password that is there for other commands: librdkafka would warn of it at every start.
        properties.remove(PASSWORD);
    }
    let plain =
        properties.get(MECHANISM).is_some_and(|given| given.value.expose().eq_ignore_ascii_case("PLAIN"));
    if protocol == "SASL_PLAINTEXT" && plain {
        warnings.push(
            "the password goes over the network in clear; give --tls too, or a `scram` mechanism".to_owned(),
        );
    }
    Ok(())
}

/// What the connection needs in all, refused where a place says the contrary in so many words.
fn protocol(properties: &mut Properties, args: &SecurityArgs) -> Result<String> {
    let tls_flag =
        [("tls", args.tls), ("tls-ca", args.tls_ca.is_some()), ("tls-cert", args.tls_cert.is_some())];
    let tls_flag = tls_flag.into_iter().find(|(_, is_given)| *is_given).map(|(flag, _)| flag);
    let sasl_flag = args.sasl.map(|_| "sasl");
    let said = properties.remove(PROTOCOL);
    if let Some(said) = said {
        let protocol = said.value.expose().to_uppercase();
        let lacks_tls = tls_flag.filter(|_| !protocol.ends_with("SSL"));
        let lacks_sasl = sasl_flag.filter(|_| !protocol.starts_with("SASL"));
        if let Some(flag) = lacks_tls.or(lacks_sasl) {
            let called = said.called(PROTOCOL);
            let message = format!("`--{flag}` and {called} contradict each other; give one of them");
            return Err(Exit::Usage.because(message));
        }
        properties.set(PROTOCOL, said)?;
        return Ok(protocol);
    }
    // Properties alone say less than a flag does, but a mechanism that is never used is no login.
    let protocol = match (tls_flag.is_some(), sasl_flag.is_some()) {
        (false, false) => return Ok("PLAINTEXT".to_owned()),
        (true, false) => "SSL",
        (false, true) => "SASL_PLAINTEXT",
        (true, true) => "SASL_SSL",
    };
    let property =
        Property { value: protocol.to_owned().into(), source: Source::CommandLine, flag: Some("tls") };
    properties.set(PROTOCOL, property)?;
    Ok(protocol.to_owned())
}

/// Who logs in by name needs a name and a password.
fn check_login(properties: &Properties, args: &SecurityArgs) -> Result<()> {
    let by_password = properties.get(MECHANISM).is_some_and(|given| {
        let mechanism = given.value.expose().to_uppercase();
        mechanism == "PLAIN" || mechanism.starts_with("SCRAM-")
    });
    if !by_password {
        return Ok(());
    }
    let what = if args.sasl.is_some() { "`--sasl`" } else { "`security.protocol`" };
    let missing = |remedy: &str| Err(Exit::Usage.because(format!("{what} asks for a login; {remedy}")));
    if properties.get(USER).is_none_or(|user| user.value.expose().is_empty()) {
        return missing("give --user NAME");
    }
    if properties.get(PASSWORD).is_none_or(|password| password.value.expose().is_empty()) {
        return missing("give the password in the variable `TIDEGATE_PASSWORD` or with --password-file");
    }
    Ok(())
}

fn login_flag(args: &SecurityArgs) -> Option<&'static str> {
    let flags = [("user", args.user.is_some()), ("password-file", args.password_file.is_some())];
    flags.into_iter().find(|(_, is_given)| *is_given).map(|(flag, _)| flag)
}

/// A password by its file or by the variable and file that hold itself, the greater source first.
pub(super) fn password(
    name: &'static str,
    flag: &'static str,
    file: Option<&Path>,
    given: &Given,
    warnings: &mut Vec<String>,
) -> Result<Option<Property>> {
    let itself = given.passwords.get(name);
    let itself =
        itself.map(|(value, source)| Property { value: value.clone(), source: source.clone(), flag: None });
    let Some(file) = file else { return Ok(itself) };
    let source = given.source(flag);
    match itself {
        Some(itself) if itself.source.rank() > source.rank() => return Ok(Some(itself)),
        Some(itself) if itself.source.rank() == source.rank() => {
            let message = format!(
                "`--{flag}` ({source}) and {} are two passwords; give one of them",
                itself.called(name)
            );
            return Err(Exit::Usage.because(message));
        }
        _ => {}
    }
    warnings.extend(secret::exposed(file));
    Ok(Some(Property { value: first_line(file)?, source, flag: Some(flag) }))
}

fn first_line(file: &Path) -> Result<Secret> {
    let text = fs::read_to_string(file).with_context(|| format!("could not read `{}`", file.display()))?;
    // What editors on Windows put before the first letter is no part of a password.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned().into()),
        _ => Err(Exit::Input.because(format!("`{}` has no password in its first line", file.display()))),
    }
}

/// librdkafka's own words for a file that is not there come late and in OpenSSL's language.
pub(super) fn must_be_readable(file: &Path) -> Result<&str> {
    let unread = || format!("could not read `{}`", file.display());
    let opened = File::open(file).with_context(unread)?;
    if opened.metadata().with_context(unread)?.is_dir() {
        return Err(Exit::NoAccess.because(format!("`{}` is a directory; name a file", file.display())));
    }
    file.to_str().ok_or_else(|| {
        Exit::Usage.because(format!("librdkafka takes names in UTF-8 only; rename `{}`", file.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_password() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("password");
        for (text, password) in
            [("\u{feff}geheim\r\n", Some("geheim")), ("geheim", Some("geheim")), ("\u{feff}\n", None)]
        {
            fs::write(&file, text).unwrap();
            let read = first_line(&file).ok();
            assert_eq!(read.as_ref().map(Secret::expose), password, "{text:?}");
        }
    }
}
