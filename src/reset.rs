//! `reset --app NAME`: positions, state and an application's own topics go together, because law 8 refuses what is left of a half.
//!
//! The group goes first: while it has members the log refuses, and nothing was touched. A reset that is killed in between
//! leaves a changelog without a group, which restores the group's positions; running the command again finishes it.

use std::io::ErrorKind;

use anyhow::{Context as _, Result};
use clap::Args;
use tidegate_runtime::kept::kept;
use tidegate_runtime::log::Log;
use tidegate_runtime::topology::Topology;

use crate::cli::Context;
use crate::exit::Exit;
use crate::name;
use crate::process::is_first_output;
use crate::workers::block_on;

/// `reset`.
#[derive(Args, Debug)]
pub(crate) struct Reset {
    /// The application's name.
    #[arg(long, value_name = "NAME", value_parser = name::parse)]
    app: String,
    /// Do it; without this it only says what it would do.
    #[arg(long)]
    yes: bool,
}

/// Carries out `reset`.
pub(crate) fn run(args: &Reset, context: &Context) -> Result<Exit> {
    let log = context.home.open_existing()?;
    let app = &args.app;
    let group = log.groups()?.into_iter().find(|group| group.group == *app);
    let topics = own_topics(&*log, app)?;
    if group.is_none() && topics.is_empty() {
        let message = format!(
            "there is no application `{app}` in `{}`; `tidegate groups` shows what there is",
            log.address()
        );
        return Err(Exit::NotFound.because(message));
    }
    if let Some(group) = group.as_ref().filter(|group| !group.members.is_empty()) {
        let members: Vec<_> = group.members.iter().map(|member| member.member.as_str()).collect();
        let message = format!("`{app}` runs as `{}`; stop it first", members.join("`, `"));
        return Err(Exit::Refused.because(message));
    }
    let offsets = group.as_ref().map_or(0, |group| group.offsets.len());
    let what = format!("the positions of `{app}` in {offsets} partitions and its topics {}", listed(&topics));
    if !args.yes {
        let message = format!("this would delete {what}; nothing was touched, add --yes to do it");
        return Err(Exit::Usage.because(message));
    }
    let outputs = outputs(&*log, app);
    if group.is_some() {
        log.delete_group(app)?;
    }
    // Before the topics: without them the command would not be run again for what is left.
    remove_copies(context, app)?;
    for topic in &topics {
        log.delete_topic(topic)?;
    }
    context
        .console
        .say(format_args!("reset: deleted {what}; its results stay, and its next run writes them again"));
    for output in outputs.iter().filter(|output| !is_first_output(app, output)) {
        context.console.say(format_args!(
            "reset: `{app}` wrote to `{output}`; to go on with that topic, add `--output {output}`"
        ));
    }
    Ok(Exit::Done)
}

/// The topics it wrote to, if its state names them: without that state, the next start chooses anew. A state that cannot be read does not
/// keep anybody from a reset.
fn outputs(log: &dyn Log, app: &str) -> Vec<String> {
    let kept = block_on(kept(log, app)).ok().and_then(std::result::Result::ok).flatten();
    let identity = kept.and_then(|kept| kept.progress).and_then(|progress| progress.identity);
    identity.map(|identity| identity.outputs).unwrap_or_default()
}

/// Those on this machine; on others a copy is found to be of no use when the application starts there.
fn remove_copies(context: &Context, app: &str) -> Result<()> {
    let Some(directory) = context.home.state_directory(app) else { return Ok(()) };
    match std::fs::remove_dir_all(&directory) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("could not remove `{}`", directory.display()))
        }
        _ => Ok(()),
    }
}

/// Those that are there, the changelog first: without it the rest means nothing.
fn own_topics(log: &dyn Log, app: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for spec in Topology::own_topics(app, 1) {
        if log.topic(&spec.name)?.is_some() {
            found.push(spec.name);
        }
    }
    Ok(found)
}

fn listed(topics: &[String]) -> String {
    if topics.is_empty() { "(none)".to_owned() } else { format!("`{}`", topics.join("`, `")) }
}
