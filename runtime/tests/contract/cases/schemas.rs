//! Schema ids: one per schema, for ever, and no version that cannot read the older ones.

use tidegate_runtime::Error;
use tidegate_runtime::log::{SchemaId, Standing};

use super::home::*;

fn record(fields: &str) -> String {
    format!(r#"{{"type": "record", "name": "R", "fields": [{fields}]}}"#)
}

const A: &str = r#"{"name": "a", "type": "int"}"#;
const B: &str = r#"{"name": "b", "type": "string"}"#;
const C_WITH_DEFAULT: &str = r#"{"name": "c", "type": "int", "default": 7}"#;
const D_WITH_DEFAULT: &str = r#"{"name": "d", "type": "int", "default": 7}"#;

pub(crate) fn the_same_schema_has_the_same_id_everywhere(home: &dyn Home) {
    let (log, other) = (home.open(), home.open());
    let id = log.registry().register("t-value", &record(A)).unwrap();
    let spaced = record(A).replace(' ', "\n  ");
    assert_eq!(other.registry().register("t-value", &spaced).unwrap(), id);
    assert_eq!(other.registry().register("u-value", &record(A)).unwrap(), id);
    let different = log.registry().register("v-value", &record(B)).unwrap();
    assert_ne!(different, id);
    assert_eq!(other.registry().subjects().unwrap(), ["t-value", "u-value", "v-value"]);
    assert_eq!(other.registry().versions("t-value").unwrap().len(), 1);
    assert!(other.registry().versions("nobody").unwrap().is_empty());
}

pub(crate) fn a_schema_is_found_by_its_id(home: &dyn Home) {
    let log = home.open();
    let id = log.registry().register("t-value", &record(A)).unwrap();
    let found = home.open().registry().schema(id).unwrap().unwrap();
    let parsed = |text: &str| apache_avro::Schema::parse_str(text).unwrap().canonical_form();
    assert_eq!(parsed(&found), parsed(&record(A)));
    assert_eq!(log.registry().schema(SchemaId(id.0 + 1_000)).unwrap(), None);
}

pub(crate) fn a_default_makes_another_schema(home: &dyn Home) {
    let log = home.open();
    let without = record(r#"{"name": "c", "type": "int"}"#);
    let first = log.registry().register("t-value", &without).unwrap();
    let second = log.registry().register("t-value", &record(C_WITH_DEFAULT)).unwrap();
    assert_ne!(first, second);
    let ids: Vec<_> = log.registry().versions("t-value").unwrap().into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, [first, second]);
}

pub(crate) fn a_version_must_read_every_older_one(home: &dyn Home) {
    let log = home.open();
    let versions =
        [record(A), record(&format!("{A}, {C_WITH_DEFAULT}")), record(&format!("{A}, {D_WITH_DEFAULT}"))];
    for schema in &versions {
        log.registry().register("t-value", schema).unwrap();
    }
    // It reads the latest version, but not the first.
    let unreadable = record(&format!("{A}, {}", r#"{"name": "d", "type": "int"}"#));
    for wrong in [&unreadable, &record(B), r#"{"type": "no such type"}"#, "no json"] {
        let error = log.registry().register("t-value", wrong).unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error}");
        assert!(error.to_string().contains("t-value"), "{error}");
    }
    assert_eq!(log.registry().versions("t-value").unwrap().len(), 3);
    log.registry().register("u-value", &unreadable).unwrap();
}

pub(crate) fn a_check_says_how_a_schema_stands_and_registers_nothing(home: &dyn Home) {
    let log = home.open();
    let registry = log.registry();
    let check = |schema: &str| registry.check("t-value", schema).unwrap();
    assert_eq!(check(&record(A)), Standing::Missing);
    assert!(registry.versions("t-value").unwrap().is_empty());
    let id = registry.register("t-value", &record(A)).unwrap();
    let spaced = record(A).replace(' ', "\n  ");
    assert_eq!(check(&spaced), Standing::Registered(id));
    assert_eq!(check(&record(&format!("{A}, {C_WITH_DEFAULT}"))), Standing::Compatible);
    let Standing::Incompatible(why) = check(&record(B)) else { panic!("{:?}", check(&record(B))) };
    assert!(why.contains("t-value"), "{why}");
    let error = registry.check("t-value", "no json").unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
    assert_eq!(registry.versions("t-value").unwrap().len(), 1);
    // The newest reads all that is older, and is read by it no more.
    registry.register("t-value", &record(C_WITH_DEFAULT)).unwrap();
    let Standing::Overtaken(known, why) = check(&record(A)) else { panic!("{:?}", check(&record(A))) };
    assert_eq!(known, id);
    assert!(why.contains("version 2"), "{why}");
    assert_eq!(registry.register("t-value", &record(A)).unwrap(), id, "it is one of the versions still");
}
