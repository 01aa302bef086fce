//! Are the topics of an application's own as its inputs need them?

use std::collections::{BTreeMap, BTreeSet};

use tidegate_runtime::topology::Topology;

use super::finding::Finding;
use super::units::counted;

/// Applications that have run here: those with a changelog and something put aside, which no other program's have.
pub(super) fn found<'t>(topics: impl Iterator<Item = &'t str>) -> BTreeSet<String> {
    let topics: BTreeSet<&str> = topics.collect();
    let suffix = Topology::changelog_of("");
    let apps = topics.iter().filter_map(|topic| topic.strip_suffix(suffix.as_str()));
    let ours = |app: &&str| topics.contains(Topology::dead_letters_of(app).as_str());
    apps.filter(ours).map(str::to_owned).collect()
}

/// One application: `partitions` of every topic there is, `inputs` those in which its group has positions.
pub(super) fn judge(app: &str, partitions: &BTreeMap<&str, u32>, inputs: &BTreeSet<String>) -> Finding {
    let what = format!("application {app}");
    let reset = format!("`tidegate reset --app {app}` lets it begin again");
    let changelog = Topology::changelog_of(app);
    let Some(tasks) = partitions.get(changelog.as_str()).copied() else {
        let Some(input) = inputs.first() else {
            let remedy = format!("`tidegate process … --app {app}` makes its topics, if this user may");
            return Finding::warn(what, "it has not run here", remedy);
        };
        let found = format!("its group has positions in `{input}`, and its changelog `{changelog}` is gone");
        return Finding::fail(what, found, reset);
    };
    let own = Topology::own_topics(app, tasks).into_iter().map(|spec| spec.name);
    for topic in own.chain(inputs.iter().cloned()) {
        match partitions.get(topic.as_str()) {
            Some(count) if *count != tasks => {
                let found = format!("`{changelog}` has {tasks} partitions, and `{topic}` has {count}");
                let remedy = format!("an application keeps its number of partitions: {reset}");
                return Finding::fail(what, found, remedy);
            }
            None if inputs.contains(&topic) => {
                let found = format!("its group has positions in `{topic}`, which is gone");
                return Finding::fail(what, found, reset);
            }
            _ => {}
        }
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let reads = if inputs.is_empty() {
        "no positions yet".to_owned()
    } else {
        format!("reads {}", inputs.join(", "))
    };
    Finding::ok(what, format!("{}, {reads}", counted(tasks, "task")))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    fn judged(topics: &[(&str, u32)], inputs: &[&str]) -> Finding {
        let inputs = inputs.iter().map(|input| (*input).to_owned()).collect();
        judge("bills", &topics.iter().copied().collect(), &inputs)
    }

    #[test]
    fn an_application_keeps_its_number_of_partitions() {
        let topics = [("invoices", 4), ("bills-changelog", 4), ("bills-late", 4)];
        let good = judged(&topics, &["invoices"]);
        assert_eq!(good.to_string(), "ok    application bills: 4 tasks, reads invoices");
        let grown = judged(&[("invoices", 8), ("bills-changelog", 4)], &["invoices"]);
        assert_eq!(grown.level, Level::Fail);
        assert!(grown.found.contains("`bills-changelog` has 4 partitions, and `invoices` has 8"), "{grown}");
        let aside = judged(&[("bills-changelog", 4), ("bills-late", 1)], &[]);
        assert!(aside.level == Level::Fail && aside.found.contains("`bills-late` has 1"), "{aside}");
    }

    #[test]
    fn positions_without_a_changelog_or_an_input_are_a_reset_behind_our_back() {
        let lost = judged(&[("invoices", 4)], &["invoices"]);
        assert!(lost.level == Level::Fail && lost.found.contains("changelog"), "{lost}");
        assert!(lost.remedy.unwrap().contains("reset --app bills"));
        let gone = judged(&[("bills-changelog", 4)], &["invoices"]);
        assert!(gone.level == Level::Fail && gone.found.contains("`invoices`, which is gone"), "{gone}");
        assert_eq!(judged(&[("invoices", 4)], &[]).level, Level::Warn);
    }

    #[test]
    fn other_programs_changelogs_are_none_of_ours() {
        let topics =
            ["orders-KSTREAM-AGGREGATE-changelog", "bills-changelog", "bills-dead-letters", "x-dead-letters"];
        assert_eq!(found(topics.into_iter()).into_iter().collect::<Vec<_>>(), ["bills"]);
    }
}
