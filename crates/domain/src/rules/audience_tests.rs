//! Who is told about an alert, and what a rules file can say about it.

use jiff::Timestamp;

use super::{Links, Routing, RuleSet};
use crate::location::Location;
use crate::severity::Severity;
use crate::time::LocalZone;

fn at(text: &str) -> Timestamp {
    format!("{text}:00Z").parse().unwrap()
}

fn location(device_type: &str, zone: &str, region: &str) -> Location {
    Location {
        device_type: device_type.to_owned(),
        zone: Some(zone.to_owned()),
        local_zone: LocalZone { region: Some(region.to_owned()), offset_seconds: None },
        ..Location::default()
    }
}

fn rules(text: &str) -> RuleSet {
    RuleSet::parse("r", text).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

/// Who is told about soap at this location.
fn route(rules: &RuleSet, location: &Location, clock: &str) -> Routing {
    rules.route("soap-low", Severity::Medium, location, None, &[], at(clock))
}

/// The audiences that are told now about soap in the zone "z" of that region.
fn recipients(rules: &RuleSet, region: &str, clock: &str) -> Vec<String> {
    route(rules, &location("SS", "z", region), clock).now.unwrap_or_default()
}

#[test]
fn an_audience_matches_by_rule_severity_and_scope() {
    let rules = rules(
        "[[audience]]\nid = \"soap\"\nrules = \"soap-low\"\n[[audience]]\nid = \"zone\"\nzones = \"z\"\n\
         [[audience]]\nid = \"worse\"\nseverity = \"high\"\n",
    );
    let now = at("2026-11-23T10:00");
    let recipients =
        |rule, severity, zone| rules.route(rule, severity, &location("SS", zone, "UTC"), None, &[], now).now.unwrap();
    assert_eq!(recipients("soap-low", Severity::Medium, "z"), ["soap", "zone"]);
    assert_eq!(recipients("soap-low", Severity::High, "y"), ["soap", "worse"]);
    assert_eq!(recipients("bin-full", Severity::Critical, "y"), ["worse"]);
    assert_eq!(recipients("bin-full", Severity::Medium, "y"), [""; 0], "nobody by audience: everybody");
}

#[test]
fn duty_is_in_the_time_of_the_site() {
    let rules = rules("[[audience]]\nid = \"day\"\non_duty = \"Mon-Fri 07:00-15:00\"\n");
    // Monday 06:00 in Singapore is Sunday in Berlin.
    for (clock, singapore, berlin) in [
        ("2026-11-22T22:59", false, false),
        ("2026-11-22T23:00", true, false),
        ("2026-11-23T06:00", true, true),
        ("2026-11-23T07:00", false, true),
        ("2026-11-28T06:00", false, false),
    ] {
        for (region, is_told) in [("Asia/Singapore", singapore), ("Europe/Berlin", berlin)] {
            assert_eq!(!recipients(&rules, region, clock).is_empty(), is_told, "{clock} {region}");
        }
    }
}

#[test]
fn duty_over_midnight_belongs_to_the_day_on_which_it_begins() {
    let rules = rules("[[audience]]\nid = \"night\"\non_duty = [\"Fri-Sat 22:00-06:00\", \"Wed 00:00-24:00\"]\n");
    for (clock, is_told) in [
        ("2026-11-27T05:59", false),
        ("2026-11-27T22:00", true),
        ("2026-11-28T05:59", true),
        ("2026-11-28T06:00", false),
        ("2026-11-29T05:59", true),
        ("2026-11-29T22:00", false),
        ("2026-11-24T23:59", false),
        ("2026-11-25T00:00", true),
        ("2026-11-25T23:59", true),
        ("2026-11-26T00:00", false),
    ] {
        assert_eq!(!recipients(&rules, "UTC", clock).is_empty(), is_told, "{clock}");
    }
    let next = |clock| route(&rules, &location("SS", "z", "UTC"), clock).later[0].until;
    assert_eq!(next("2026-11-26T00:00"), at("2026-11-27T22:00"));
    assert_eq!(next("2026-11-29T06:00"), at("2026-12-02T00:00"));
}

#[test]
fn duty_begins_at_its_first_moment_also_when_the_clock_changes() {
    // Berlin 2026: 02:00 becomes 03:00 on Sunday 29 March, at 01:00 UTC.
    let rules = rules("[[audience]]\nid = \"a\"\non_duty = \"Sun 02:10-02:50\"\n");
    let next = |clock| route(&rules, &location("SS", "z", "Europe/Berlin"), clock).first();
    assert_eq!(next("2026-03-28T12:00"), Some(at("2026-04-05T00:10")), "all of the hours are skipped on that Sunday");
    assert_eq!(next("2026-03-21T12:00"), Some(at("2026-03-22T01:10")));
}

#[test]
fn a_mute_ends_in_the_time_of_the_site() {
    let mute = |until: &str| rules(&format!("[[mute]]\nzones = \"z\"\nuntil = {until}\nreason = \"renovation\"\n"));
    for until in
        ["\"2026-11-24\"", "\"2026-11-24 00:00\"", "\"2026-11-24T00:00:00\"", "2026-11-24", "2026-11-24T00:00:00"]
    {
        let rules = mute(until);
        let is_muted = |zone, region, clock| rules.mute("soap-low", &location("SS", zone, region), at(clock)).is_some();
        assert!(is_muted("z", "Asia/Singapore", "2026-11-23T15:59"), "{until}");
        assert!(!is_muted("z", "Asia/Singapore", "2026-11-23T16:00"), "{until}");
        assert!(is_muted("z", "UTC", "2026-11-23T16:00"), "{until}");
        assert!(!is_muted("y", "UTC", "2026-11-23T16:00"), "{until}");
    }
    for until in ["\"2026-11-24T00:00Z\"", "\"2026-11-24T00:00+08:00\"", "\"24.11.2026\"", "\"tomorrow\"", "7"] {
        let text = format!("[[mute]]\nzones = \"z\"\nuntil = {until}\nreason = \"renovation\"\n");
        let errors = RuleSet::parse("r", &text).unwrap_err();
        assert!(errors[0].to_string().starts_with("r:3:9: `until` is a day or a time of the site"), "{errors:?}");
    }
}

#[test]
fn a_rule_has_the_severities_of_its_limits_and_overrides() {
    let severities = |text: &str, id: &str| Vec::from_iter(rules(text).rule(id).unwrap().severities());
    assert_eq!(severities("", "silent"), [Severity::Low]);
    assert_eq!(severities("", "ammonia-lite"), [Severity::Medium, Severity::High]);
    let text = "[[rule]]\nid = \"soap-low\"\n[[rule.override]]\nzones = \"z\"\nseverity = \"critical\"\n";
    assert_eq!(severities(text, "soap-low"), [Severity::Medium, Severity::Critical]);
}

#[test]
fn days_and_hours_are_read_and_other_texts_refused() {
    let read = |text: &str| RuleSet::parse("r", &format!("[[audience]]\nid = \"a\"\non_duty = \"{text}\"\n")).is_ok();
    for text in
        ["Mon 07:00-15:00", "Sat-Mon 22:00-06:00", "Mon,Wed, Fri 07:00 - 15:00", "07:00-15:00", "Sun 00:00-24:00"]
    {
        assert!(read(text), "{text}");
    }
    for text in [
        "",
        "Mon",
        "mon 07:00-15:00",
        "Mon- 07:00-15:00",
        "Monday 07:00-15:00",
        "Mon 7-15",
        "Mon 07:00-07:00",
        ",07:00-15:00",
    ] {
        assert!(!read(text), "{text}");
    }
}

#[test]
fn a_message_has_links_where_all_of_its_audiences_want_them() {
    let audience = |id: &str, links: &str| format!("[[audience]]\nid = \"{id}\"\n{links}\n");
    let all = [
        audience("default", ""),
        audience("none", "links = []"),
        audience("sms", "links = \"sms\""),
        audience("both", "links = [\"email\", \"sms\"]"),
    ];
    let rules = rules(&all.concat());
    for (to, email, sms) in [
        (&[][..], false, false),
        (&["gone"], true, false),
        (&["default"], true, false),
        (&["none"], false, false),
        (&["sms"], false, true),
        (&["both"], true, true),
        (&["both", "default"], true, false),
        (&["both", "sms"], false, true),
        (&["both", "none"], false, false),
    ] {
        let to: Vec<String> = to.iter().map(|id| (*id).to_owned()).collect();
        assert_eq!(rules.links(&to), Links { email, sms }, "{to:?}");
    }
    assert_eq!(RuleSet::pack().links(&[]), Links::default(), "to everybody, without audiences");
}

#[test]
fn an_unknown_kind_of_link_is_reported() {
    for (links, suggestion) in [("[\"emial\"]", "did you mean `email`?"), ("[\"qr\"]", "it is one of email, sms")] {
        let errors = RuleSet::parse("r", &format!("[[audience]]\nid = \"a\"\nlinks = {links}\n")).unwrap_err();
        let error = errors[0].to_string();
        assert!(error.starts_with("r:3:10: unknown kind of text `") && error.contains(suggestion), "{error}");
    }
    assert!(RuleSet::parse("r", "[[audience]]\nid = \"a\"\nlinks = [7]\n").is_err());
}

#[test]
fn email_addresses_are_read_and_other_texts_refused() {
    let read = |text: &str| RuleSet::parse("r", &format!("[[audience]]\nid = \"a\"\nemails = [{text:?}]\n")).is_ok();
    for text in ["day@example.com", "o'neil+alerts@mail.example.co", "ops@localhost"] {
        assert!(read(text), "{text}");
    }
    for text in [
        "day",
        "@example.com",
        "day@",
        "a b@example.com",
        "Day <day@example.com>",
        "a@b@c",
        "a@example..com",
        "a\n@b.c",
    ] {
        assert!(!read(text), "{text}");
    }
}

const NAMED: &str = r#"
[[site]]
id = "p1"
name = "Tower A"
time_zone = "Asia/Singapore"
[[site]]
id = "p2"
name = "Tower B"
[[zone]]
id = "z"
name = "Lobby"
site = "Tower A"
"#;

#[test]
fn names_select_and_the_time_zone_of_the_site_counts_for_duty_and_mutes() {
    let day = "[[audience]]\nid = \"day\"\nsites = \"Tower A\"\nzones = \"Lobby\"\non_duty = \"07:00-15:00\"\n";
    let mute = "[[mute]]\nsites = \"Tower A\"\nuntil = \"2026-11-24\"\nreason = \"r\"\n";
    let without_mute = rules(&format!("{NAMED}{day}"));
    let rules = rules(&format!("{NAMED}{day}{mute}"));
    let location = Location { project: Some("p1".to_owned()), ..location("SS", "z", "UTC") };
    let recipients = |clock| route(&without_mute, &location, clock).now;
    assert_eq!(recipients("2026-11-22T22:59"), None);
    assert_eq!(recipients("2026-11-22T23:00"), Some(vec!["day".to_owned()]));
    let is_muted = |clock| rules.mute("soap-low", &location, at(clock)).is_some();
    assert!(is_muted("2026-11-23T15:59") && !is_muted("2026-11-23T16:00"));
    assert_eq!(rules.mentions.iter().filter(|mention| mention.id == "p1").count(), 3, "declared, audience and mute");
}

#[test]
fn an_unknown_name_and_a_zone_of_another_site_are_refused() {
    for (list, position, message) in [
        ("zones = \"Loby\"", "r:15:9", "no [[zone]] has the id or name `Loby`; did you mean `Lobby`?"),
        ("sites = \"Tower B\"\nzones = \"Lobby\"", "r:16:9", "the zone `z` is not in these sites; it is in `p1`"),
    ] {
        for table in ["[[audience]]\nid = \"day\"", "[[mute]]\nuntil = 2026-11-24"] {
            let reason = if table.contains("mute") { "\nreason = \"r\"" } else { "" };
            let errors = RuleSet::parse("r", &format!("{NAMED}{table}\n{list}{reason}\n")).unwrap_err();
            let error = errors[0].to_string();
            assert!(error.starts_with(&format!("{position}: {message}")), "{errors:?}");
        }
    }
}

/// The warnings about alerts that reach nobody, without those for everybody.
fn unreached(text: &str) -> (Vec<String>, Vec<String>) {
    let warnings = rules(text).unreached().into_iter().map(|warning| warning.to_string());
    warnings.partition(|warning| warning.contains("they wait"))
}

#[test]
fn times_of_the_week_with_nobody_on_duty_are_warned_of() {
    let (waiting, unmatched) = unreached("[[audience]]\nid = \"day\"\non_duty = \"Mon-Sat 07:00-15:00\"\n");
    let [waiting] = &waiting[..] else { panic!("{waiting:?}") };
    let times = "Mon 15:00 to Tue 07:00, Tue 15:00 to Wed 07:00, Wed 15:00 to Thu 07:00, Thu 15:00 to Fri 07:00, \
                 Fri 15:00 to Sat 07:00, Sat 15:00 to Mon 07:00";
    assert!(
        waiting.starts_with(&format!("r:2:6: nobody is on duty at {times} for alerts of every rule: they wait")),
        "{waiting}"
    );
    assert!(unmatched.is_empty());

    let night =
        "[[audience]]\nid = \"night\"\non_duty = [\"15:00-07:00\", \"Sun 00:00-24:00\"]\nseverity = \"critical\"\n";
    let both = format!("[[audience]]\nid = \"day\"\non_duty = \"Mon-Sat 07:00-15:00\"\nelse = \"night\"\n{night}");
    assert_eq!(unreached(&both), (vec![], vec![]), "one of the two is always on duty");
    assert_eq!(unreached(""), (vec![], vec![]), "everybody");
}

#[test]
fn alerts_that_no_audience_matches_are_warned_of() {
    let spills = "[[audience]]\nid = \"spills\"\nrules = [\"spill\"]\n";
    let (waiting, unmatched) = unreached(spills);
    let [unmatched] = &unmatched[..] else { panic!("{unmatched:?}") };
    assert!(waiting.is_empty() && unmatched.contains("`soap-low`") && !unmatched.contains("`spill`"), "{unmatched}");
    // A site without an audience, and alerts that are too mild for one.
    let names = "[[site]]\nid = \"p1\"\n[[site]]\nid = \"p2\"\n[[zone]]\nid = \"z1\"\nsite = \"p1\"\n";
    let all = format!("{names}[[audience]]\nid = \"a\"\nsites = \"p1\"\n");
    assert!(unreached(&all).1[0].contains("no audience matches some or all alerts of every rule: "));
    assert_eq!(unreached(&all.replace("[[site]]\nid = \"p2\"\n", "")), (vec![], vec![]), "each declared site has one");
    let mild = unreached("[[audience]]\nid = \"a\"\nseverity = \"medium\"\n").1.concat();
    assert!(mild.contains("`silent`") && !mild.contains("`soap-low`"), "{mild}");
}

#[test]
fn a_mute_that_has_ended_everywhere_is_warned_of() {
    let rules = rules("[[mute]]\nzones = \"z\"\nuntil = \"2026-11-24\"\nreason = \"r\"\n");
    assert_eq!(rules.ended_mutes(at("2026-11-24T11:59")), []);
    let warnings = rules.ended_mutes(at("2026-11-24T12:00"));
    assert_eq!(warnings[0].to_string(), "r:3:9: this mute ended on 2026-11-24 00:00; remove it");
}
