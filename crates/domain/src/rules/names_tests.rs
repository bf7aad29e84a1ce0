//! Names of a rules file: which texts mean which ids, and where.

use std::time::{Duration, Instant};

use super::names::Named;
use super::{MentionKind, RuleSet};
use crate::location::Location;
use crate::reading::Reading;
use crate::time::LocalZone;

const NAMES: &str = r#"
[[site]]
id = "prj-01"
name = "Tower A"
time_zone = "Asia/Singapore"
note = "Keys at the counter"
[[site]]
id = "prj-02"
[[zone]]
id = "z1"
name = "Washroom"
site = "Tower A"
floor = "2"
[[zone]]
id = "z2"
name = "Washroom"
site = "prj-02"
[[zone]]
id = "z3"
name = "Lobby"
[[device]]
id = "d1"
name = "Soap by the door"
[[device]]
id = "d2"
name = "Soap by the door"
[[device]]
id = "d3"
name = "Soap by the window"
"#;

fn rules(text: &str) -> RuleSet {
    RuleSet::parse("r", text).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

fn errors(text: &str) -> Vec<String> {
    let errors = RuleSet::parse("r", text).err().unwrap_or_default();
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn the_tables_are_read() {
    let names = rules(NAMES).names;
    let local_zone = Some(LocalZone { region: Some("Asia/Singapore".into()), offset_seconds: None });
    let text = |text: &str| Some(text.to_owned());
    let tower = Named { name: text("Tower A"), local_zone, note: text("Keys at the counter"), ..Named::default() };
    assert_eq!((&names.sites["prj-01"], &names.sites["prj-02"]), (&tower, &Named::default()));
    let washroom = Named { name: text("Washroom"), site: text("prj-01"), floor: text("2"), ..Named::default() };
    assert_eq!(names.zones["z1"], washroom, "the name of the site is resolved");
    assert_eq!(names.devices["d3"], Named { name: text("Soap by the window"), ..Named::default() });
}

#[test]
fn an_id_a_name_and_a_name_with_its_site_mean_one_id() {
    use MentionKind::{Device, Property, Site, Zone};
    let names = rules(NAMES).names;
    for (kind, text, id) in [
        (Site, "prj-01", "prj-01"),
        (Site, "Tower A", "prj-01"),
        (Zone, "z1", "z1"),
        (Zone, "Lobby", "z3"),
        (Zone, "Tower A · Washroom", "z1"),
        (Zone, "prj-02 · Washroom", "z2"),
        (Device, "Soap by the window", "d3"),
        (Property, "whatever", "whatever"),
    ] {
        assert_eq!(names.id(kind, text), Ok(id), "{text}");
        assert_eq!(RuleSet::default().names.id(kind, text), Ok(text), "without tables, every text is an id");
    }
    for (kind, text, is_ambiguous, error) in [
        (Site, "tower", false, "no [[site]] has the id or name `tower`; did you mean `Tower A`?"),
        (Zone, "lobby", false, "no [[zone]] has the id or name `lobby`; did you mean `Lobby`?"),
        (
            Zone,
            "Washroom",
            true,
            "`Washroom` is the name of 2 zones; write one of `Tower A · Washroom`, `prj-02 · Washroom`",
        ),
        (Device, "Soap by the door", true, "`Soap by the door` is the name of 2 devices; write one of `d1`, `d2`"),
    ] {
        let found = names.id(kind, text).unwrap_err();
        assert_eq!((found.is_ambiguous, found.to_string().as_str()), (is_ambiguous, error));
    }
}

#[test]
fn a_name_works_in_every_list_of_a_rule_and_of_an_override() {
    let rules = rules(&format!(
        "{NAMES}[[rule]]\nid = \"soap-low\"\nsites = \"Tower A\"\nzones = [\"Tower A · Washroom\", \"Lobby\"]\n\
         [[rule.override]]\nzones = \"Lobby\"\nseverity = \"high\"\n\
         [[rule.override]]\nzones = \"z1\"\ndevices = \"Soap by the window\"\nenabled = false\n"
    ));
    let severity = |project: &str, zone: &str, device: &str| {
        let text = format!(r#"{{"DevType":"SS","DEVID":"{device}","InsID":"{zone}","PID":"{project}"}}"#);
        let source = Reading::read(&text).unwrap().source;
        rules.rule("soap-low").unwrap().effective(&source).map(|settings| settings.severity.as_str())
    };
    assert_eq!(severity("prj-01", "z1", "d1"), Some("medium"));
    assert_eq!(severity("prj-01", "z3", "d1"), Some("high"));
    assert_eq!(severity("prj-01", "z1", "d3"), None, "the override is off");
    assert_eq!(severity("prj-01", "z2", "d1"), None, "the other zone of that name");
    assert_eq!(severity("prj-02", "z1", "d1"), None);
    assert_eq!(severity("Tower A", "Lobby", "d1"), None, "a pushed id that is a declared name");
}

#[test]
fn a_pushed_name_changes_nothing() {
    let rules = rules(&format!("{NAMES}[[rule]]\nid = \"soap-low\"\nzones = \"Lobby\"\n"));
    let applies = |zone: &str, display: &str| {
        let text =
            format!(r#"{{"DevType":"SS","DEVID":"d","InsID":"{zone}","Display":"{display}","ZoneName":"Lobby"}}"#);
        rules.rule("soap-low").unwrap().effective(&Reading::read(&text).unwrap().source).is_some()
    };
    for display in ["Lobby", "z3", "Soap by the door", "x"] {
        assert!(applies("z3", display) && !applies("z1", display), "{display}");
    }
}

#[test]
fn a_declared_name_is_shown_in_place_of_a_learned_one() {
    let names = rules(NAMES).names;
    let shown = |device: &str, zone: &str| {
        let text = |text: &str| Some(text.to_owned());
        let (display, zone_name) = (text("Display"), text("ZoneName"));
        let location = Location { device: text(device), zone: text(zone), display, zone_name, ..Location::default() };
        [location.device_name(&names), location.zone_name(&names)].map(|name| name.unwrap().to_owned())
    };
    assert_eq!(shown("d3", "z3"), ["Soap by the window", "Lobby"]);
    assert_eq!(shown("d9", "z9"), ["Display", "ZoneName"]);
    assert_eq!(["prj-01", "prj-02", "prj-03"].map(|id| names.site_name(id)), ["Tower A", "prj-02", "prj-03"]);
    assert_eq!(Location::default().zone_name(&names), None);
}

#[test]
fn a_declared_zone_is_not_the_zone_of_another_site_with_the_same_id() {
    let names = rules(NAMES).names;
    let zone = |project: Option<&str>| {
        let (zone, zone_name) = (Some("z1".to_owned()), Some("Learned".to_owned()));
        let location = Location { project: project.map(Into::into), zone, zone_name, ..Location::default() };
        location.zone_name(&names).unwrap().to_owned()
    };
    assert_eq!([None, Some("prj-01"), Some("prj-09")].map(zone), ["Washroom", "Washroom", "Learned"]);
}

#[test]
fn the_time_zone_is_of_the_site_else_of_the_site_of_the_zone() {
    let names = rules(NAMES).names;
    let region = |source: &str| {
        let text = format!(r#"{{"DevType":"SS","Region":"Europe/Berlin",{source}}}"#);
        Location::of(&Reading::read(&text).unwrap(), &names).local_zone.region.unwrap()
    };
    for (source, expected) in [
        (r#""PID":"prj-01""#, "Asia/Singapore"),
        (r#""InsID":"z1""#, "Asia/Singapore"),
        (r#""PID":"prj-09","InsID":"z1""#, "Europe/Berlin"),
        (r#""InsID":"z2""#, "Europe/Berlin"),
        (r#""InsID":"z3""#, "Europe/Berlin"),
    ] {
        assert_eq!(region(source), expected, "{source}");
    }
}

#[test]
fn a_name_is_unique_in_its_site() {
    let zones =
        |second: &str| format!("[[zone]]\nid = \"a\"\nname = \"Hall\"\nsite = \"s\"\n[[zone]]\nid = \"b\"\n{second}");
    for good in ["name = \"Hall 2\"\nsite = \"s\"", "name = \"Hall\"\nsite = \"t\"", "name = \"Hall\"", "site = \"s\""]
    {
        assert_eq!(errors(&zones(good)), [""; 0], "{good}");
    }
    let taken = "r:7:8: the name `Hall` is taken by the zone in line 3; give one of them another name, or each the `site` that \
                 it is in";
    assert_eq!(errors(&zones("name = \"Hall\"\nsite = \"s\"")), [taken]);
    let sites = "[[site]]\nid = \"a\"\nname = \"Tower\"\n[[site]]\nid = \"b\"\nname = \"Tower\"";
    assert_eq!(
        errors(sites),
        ["r:6:8: the name `Tower` is taken by the site in line 3; give one of them another name"]
    );
    let devices = "[[device]]\nid = \"a\"\nname = \"Soap\"\n[[device]]\nid = \"b\"\nname = \"Soap\"";
    assert_eq!(errors(devices), [""; 0], "devices have no site");
}

#[test]
fn an_id_is_declared_once_for_each_kind() {
    assert_eq!(errors("[[zone]]\nid = \"a\"\n[[device]]\nid = \"a\"\n[[site]]\nid = \"a\""), [""; 0]);
    let twice = "[[zone]]\nid = \"a\"\nsite = \"s\"\n[[zone]]\nid = \"a\"\nsite = \"t\"";
    assert_eq!(errors(twice), ["r:5:6: the id `a` is taken by the zone in line 2; join the two tables"]);
}

#[test]
fn an_action_is_one_line_and_stays_when_a_file_changes_another_key() {
    let action = |text: &str| rules(text).rule("soap-low").unwrap().action.clone();
    let built_in = action("").unwrap();
    assert_eq!(action("[[rule]]\nid = \"soap-low\"\nbelow = 10\n"), Some(built_in));
    let own = action("[[rule]]\nid = \"soap-low\"\naction = \"Refill soap, store room B1\"\n");
    assert_eq!(own.as_deref(), Some("Refill soap, store room B1"));
    assert!(errors("[[rule]]\nid = \"soap-low\"\naction = \"a\\nb\"")[0].contains("an action is one line of text"));
}

#[test]
fn every_built_in_rule_has_an_action() {
    for rule in RuleSet::pack().rules {
        assert!(rule.action.is_some(), "{}", rule.id);
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "it measures time")]
fn thousands_of_names_are_read_in_a_time_that_grows_with_the_file() {
    let mut text = String::new();
    for number in 0..8_000 {
        text += &format!("[[device]]\nid = \"d{number}\"\nname = \"Soap {number}\"\n");
    }
    let names: Vec<_> = (0..5_000).map(|number| format!("\"Soap {number}\"")).collect();
    text += &format!("[[rule]]\nid = \"soap-low\"\ndevices = [{}]\n", names.join(", "));
    let began = Instant::now();
    let devices = rules(&text).rule("soap-low").unwrap().scope.ids(MentionKind::Device).to_vec();
    let elapsed = began.elapsed();
    assert_eq!((devices.len(), devices[4_999].as_str()), (5_000, "d4999"));
    assert!(elapsed < Duration::from_secs(5), "{elapsed:?}");
}
