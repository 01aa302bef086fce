//! Directories that are finished, foreign or no directories: one line, the code of a refusal, and nothing touched.

use std::fs;

use super::run::demo;

#[test]
fn a_finished_demo_is_refused_and_fresh_starts_over() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(demo(root.path(), &[]).code, 0);
    let again = demo(root.path(), &[]);
    assert_eq!((again.code, again.stderr.lines().count()), (4, 1), "{}", again.stderr);
    assert!(again.stderr.contains("`--fresh`"), "{}", again.stderr);
    fs::write(root.path().join("left-behind.txt"), "by the first run's user").unwrap();
    let fresh = demo(root.path(), &["--fresh", "--seed", "2"]);
    assert_eq!(fresh.code, 0, "{}\n{}", fresh.stdout, fresh.stderr);
    assert!(fresh.stdout.contains("--seed 2"), "{}", fresh.stdout);
    assert!(
        !root.path().join("left-behind.txt").exists(),
        "everything beside the marker goes, as the marker says"
    );
}

#[test]
fn a_foreign_directory_is_refused_also_with_fresh() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("thesis.txt"), "years of work").unwrap();
    for flags in [&[][..], &["--fresh"]] {
        let refused = demo(root.path(), flags);
        assert_eq!((refused.code, refused.stderr.lines().count()), (4, 1), "{}", refused.stderr);
    }
    let left: Vec<_> = fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["thesis.txt"]);
}

#[test]
fn a_file_and_a_senseless_length_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    assert_eq!(demo(&file, &[]).code, 6);
    for seconds in ["0", "601", "soon"] {
        let mut command = super::run::tidegate(&["demo", "--seconds", seconds]);
        assert_eq!(command.current_dir(root.path()).output().unwrap().status.code(), Some(2), "{seconds}");
    }
    assert!(!root.path().join("tidegate-demo").exists(), "a usage error makes nothing");
}
