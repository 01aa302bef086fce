//! The schema registry's address and login.

use anyhow::Result;
use tidegate_runtime::log::kafka::RegistryConnection;

use super::args::RegistryArgs;
use super::security::{must_be_readable, password};
use crate::config::Given;
use crate::exit::Exit;

/// What the flags, the variables and the file say of it.
pub(super) fn choose(
    args: &RegistryArgs,
    given: &Given,
    warnings: &mut Vec<String>,
) -> Result<RegistryConnection> {
    let urls = match &args.registry {
        Some(urls) => parse_urls(urls.expose())?,
        None => Vec::new(),
    };
    let others = [
        ("registry-user", args.registry_user.is_some()),
        ("registry-password-file", args.registry_password_file.is_some()),
        ("registry-ca", args.registry_ca.is_some()),
        ("no-register", args.no_register),
    ];
    if let Some((flag, _)) = others.into_iter().find(|(_, is_given)| *is_given && urls.is_empty()) {
        let message =
            format!("`--{flag}` is about a schema registry, and none is named; give --registry URL");
        return Err(Exit::Usage.because(message));
    }
    let file = args.registry_password_file.as_deref();
    let password = password("registry-password", "registry-password-file", file, given, warnings)?;
    let user = match (&args.registry_user, password) {
        (Some(user), Some(password)) => Some((user.clone(), password.value.expose().to_owned())),
        (Some(_), None) => {
            return Err(Exit::Usage.because(
                "`--registry-user` needs a password; give it in the variable `TIDEGATE_REGISTRY_PASSWORD` or with \
                 --registry-password-file",
            ));
        }
        (None, Some(_)) if args.registry_password_file.is_some() => {
            return Err(
                Exit::Usage.because("`--registry-password-file` needs a name; give --registry-user NAME")
            );
        }
        // A password alone may be in the environment for somebody else.
        (None, _) => None,
    };
    if user.is_some() && urls.iter().any(|url| url.starts_with("http://")) {
        warnings.push(
            "the registry's password goes over the network in clear; give an `https://` address".to_owned(),
        );
    }
    if let Some(ca) = &args.registry_ca {
        must_be_readable(ca)?;
    }
    Ok(RegistryConnection { urls, user, ca: args.registry_ca.clone(), lookup_only: args.no_register })
}

/// Never shows an address it refuses: people put passwords into them.
fn parse_urls(urls: &str) -> Result<Vec<String>> {
    let refused = |message: &str| Err(Exit::Usage.because(message));
    let mut found = Vec::new();
    for url in urls.split(',').map(str::trim) {
        let Some((scheme, rest)) = url.split_once("://") else {
            return refused("`--registry` is written `http://host:port` or `https://host:port`");
        };
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if host.contains('@') {
            return refused(
                "`--registry` holds a user or a password, which others could see; give --registry-user, and the password in the \
                 variable `TIDEGATE_REGISTRY_PASSWORD` or with --registry-password-file",
            );
        }
        if !matches!(scheme, "http" | "https") || host.is_empty() || url.contains(char::is_whitespace) {
            return refused("`--registry` is written `http://host:port` or `https://host:port`");
        }
        found.push(url.trim_end_matches('/').to_owned());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_split_and_trimmed() {
        let urls = parse_urls("http://one:8081/, https://two/apis/ccompat/v7").unwrap();
        assert_eq!(urls, ["http://one:8081", "https://two/apis/ccompat/v7"]);
    }

    #[test]
    fn an_address_with_a_password_is_refused_unseen() {
        for urls in [
            "http://me:hunter2@one",
            "https://hunter2@one/x",
            "one:8081",
            "ftp://one",
            "http://",
            "http://a b",
        ] {
            let error = parse_urls(urls).unwrap_err();
            assert_eq!(Exit::of(&error), Exit::Usage, "{urls}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        assert!(parse_urls("http://one/a@b").is_ok());
    }
}
