//! The bounds of rules files, one step inside and one outside.

use jiff::Timestamp;
use jiff::civil::time;

use super::{Days, RuleSet, WeeklyHours};
use crate::reading::Reading;
use crate::time::LocalZone;

/// The errors of a file.
fn errors(text: &str) -> Vec<String> {
    let diagnostics = RuleSet::parse("r", text).err().unwrap_or_default();
    diagnostics.iter().map(ToString::to_string).collect()
}

/// A new rule with `more`.
fn new(more: &str) -> String {
    format!("[[rule]]\nid = \"new\"\ntitle = \"New\"\n{more}")
}

/// The first of each pair has no error, and the second has one that contains these words.
fn check<const N: usize>(pairs: [(String, String, &str); N]) {
    for (good, bad, words) in pairs {
        assert_eq!(errors(&good), [""; 0], "{good}");
        let errors = errors(&bad);
        assert!(matches!(errors.as_slice(), [diagnostic] if diagnostic.contains(words)), "{bad}\n{errors:#?}");
    }
}

const LOW: &str = "types = [\"SS\"]\nmetric = \"p\"\nbelow = 5\n";

#[test]
fn an_id_has_at_most_64_of_the_allowed_characters() {
    let with = |id: &str| format!("[[rule]]\nid = \"{id}\"\ntitle = \"T\"\n{LOW}");
    check([
        (with(&"i".repeat(64)), with(&"i".repeat(65)), "is not valid"),
        (with("az09-._"), with("Az"), "is not valid"),
        (with("a.b"), with("a b"), "is not valid"),
    ]);
}

#[test]
fn a_title_is_one_line_and_not_empty() {
    let with = |title: &str| format!("[[rule]]\nid = \"new\"\ntitle = \"{title}\"\n{LOW}");
    check([
        (with(&"é".repeat(40)), with(&"é".repeat(41)), "a title is one line"),
        (with(" x "), with("  "), "a title is one line"),
        (with("a b"), with("a\\tb"), "a title is one line"),
    ]);
}

#[test]
fn names_notes_and_actions_have_a_longest_length() {
    let table =
        |kind: &str, key: &str, length: usize| format!("[[{kind}]]\nid = \"x\"\n{key} = \"{}\"", "é".repeat(length));
    for (kind, key, longest, words) in [
        ("site", "name", 80, "a name is one line"),
        ("zone", "name", 80, "a name is one line"),
        ("zone", "floor", 20, "a floor is one line"),
        ("device", "note", 200, "a note is one line"),
    ] {
        check([(table(kind, key, longest), table(kind, key, longest + 1), words)]);
    }
    let action = |length: usize| new(&format!("action = \"{}\"\n{LOW}", "é".repeat(length)));
    check([(action(80), action(81), "an action is one line")]);
}

#[test]
fn a_message_has_a_longest_length() {
    let with = |message: &str| new(&format!("message = \"{message}\"\n{LOW}"));
    check([(with(&"é".repeat(400)), with(&"é".repeat(401)), "too long")]);
}

#[test]
fn each_setting_belongs_to_its_kinds() {
    let kinds = [
        ("threshold", "types = [\"SS\"]\nmetric = \"p\"\nbelow = 5\n"),
        ("count", "types = [\"FD\"]\nmetric = \"rating\"\nat_least = 4\nwithin = \"10m\"\n"),
        ("reasons", "types = [\"FD\"]\nmetric = \"rating\"\nat_least = 4\n"),
        ("accumulate", "types = [\"UM\"]\nmetric = \"count\"\nat_least = 30\n"),
        ("silence", "types = [\"SS\"]\nafter = \"4h\"\n"),
    ];
    for (setting, belongs_to) in [
        ("for = \"10m\"", &["threshold"][..]),
        ("max_gap = \"10m\"", &["threshold"]),
        ("clear = 9", &["threshold"]),
        ("reminder = \"1h\"", &["threshold"]),
        ("resolved = true", &["threshold", "silence"]),
        ("count = 3", &["count", "reasons"]),
        ("carry = true", &["accumulate"]),
        ("restart_at = \"06:00\"", &["accumulate"]),
    ] {
        for (kind, rest) in kinds {
            let errors = errors(&new(&format!("kind = \"{kind}\"\n{rest}{setting}\n")));
            let expected = usize::from(!belongs_to.contains(&kind));
            assert_eq!(errors.len(), expected, "{setting} in {kind}: {errors:#?}");
            assert!(
                errors.iter().all(|diagnostic| diagnostic.contains("has no effect in a rule of kind")),
                "{errors:#?}"
            );
        }
    }
    // These settings make a rule of a kind what it is. In other kinds they have no effect.
    for (kind, setting) in [("threshold", "within = \"1h\""), ("threshold", "after = \"1h\"")] {
        let errors = errors(&new(&format!("kind = \"{kind}\"\n{LOW}{setting}\n")));
        assert!(matches!(errors.as_slice(), [diagnostic] if diagnostic.contains("has no effect")), "{errors:#?}");
    }
    let errors = errors(&new("kind = \"silence\"\ntypes = [\"SS\"]\nafter = \"4h\"\nmetric = \"p\"\nbelow = 5\n"));
    assert!(matches!(errors.as_slice(), [diagnostic] if diagnostic.contains("`metric` has no effect")), "{errors:#?}");
}

#[test]
fn a_setting_that_a_kind_needs_is_required() {
    let count = "kind = \"count\"\ntypes = [\"FD\"]\nmetric = \"rating\"\nat_least = 4\n";
    let sum = |limit: &str| new(&format!("kind = \"accumulate\"\ntypes = [\"UM\"]\nmetric = \"count\"\n{limit}\n"));
    check([
        (new(&format!("{count}within = \"1h\"\n")), new(count), "needs a `within`"),
        (sum("at_least = 30"), sum("at_most = 30"), "needs one metric with"),
        (sum("above = 30"), sum("below = 30"), "needs one metric with"),
        (sum("above = 30"), sum(""), "a metric without a limit"),
    ]);
}

#[test]
fn a_clear_level_is_on_the_good_side_of_the_limit() {
    let low = |clear: f64| new(&format!("{LOW}clear = {clear:?}\n"));
    let high = |clear: f64| {
        new(&format!(
            "types = [\"ODRDTR_BATT_V1\"]\nmetric = \"amm\"\nat_least = {{ low = 200, high = 500 }}\nclear = {clear:?}\n"
        ))
    };
    check([
        (low(5.0), low(4.9), "resolved at 4.9"),
        (low(5.1), low(0.0), "resolved at 0"),
        (high(200.0), high(200.1), "resolved at 200.1"),
        (high(100.0), high(300.0), "although 200 breaches the limit"),
    ]);
    let several =
        "types = [\"WD\"]\nall = [{ metric = \"value\", at_least = 1 }, { metric = \"AreaP\", at_least = 5 }]\n";
    check([(new(several), new(&format!("{several}clear = 1\n")), "`clear` needs one metric")]);
}

#[test]
fn the_clear_level_of_an_override_is_on_the_good_side_of_the_limit_that_applies_there() {
    let within = |more: &str| format!("[[rule]]\nid = \"ammonia-lite\"\nclear = 150\n{more}");
    let lobby = |more: &str| within(&format!("[[rule.override]]\nzones = \"lobby\"\n{more}\n"));
    let several = "any = [{ metric = \"amm\", above = { high = 9 } }, { metric = \"aqi\", above = { high = 9 } }]\n";
    let nested = |zone: &str, clear: i32| {
        let wider = format!("[[rule.override]]\nzones = \"{zone}\"\nat_least = {{ high = 100 }}\n");
        within(&format!("{wider}[[rule.override]]\nzones = \"lobby\"\ndevices = \"d\"\nclear = {clear}\n"))
    };
    check([
        (lobby("clear = 200"), lobby("clear = 9000"), "r:6:9: the alert would be resolved at 9000 although 200"),
        (
            lobby("at_least = { high = 100 }\nclear = 100"),
            lobby("at_least = { high = 100 }\nclear = 101"),
            "r:7:9: the alert would be resolved at 101 although 100",
        ),
        (lobby(several), lobby(&format!("{several}clear = 5")), "r:7:9: `clear` needs one metric"),
        (nested("lobby", 100), nested("lobby", 101), "r:10:9: the alert would be resolved at 101 although 100"),
    ]);
    assert_eq!(errors(&nested("gym", 101)), [""; 0], "another zone");
    let sum = new("kind = \"accumulate\"\ntypes = [\"UM\"]\nmetric = \"count\"\nat_least = 30\n");
    let sum = errors(&format!("{sum}[[rule.override]]\nzones = \"lobby\"\nclear = 90\n"));
    assert!(matches!(sum.as_slice(), [diagnostic] if diagnostic.contains("has no effect")), "{sum:#?}");
}

#[test]
fn limits_are_in_the_order_of_severity() {
    let rising =
        |high: f64| new(&format!("types = [\"SS\"]\nmetric = \"p\"\nabove = {{ low = 5, high = {high:?} }}\n"));
    let falling =
        |high: f64| new(&format!("types = [\"SS\"]\nmetric = \"p\"\nbelow = {{ low = 5, high = {high:?} }}\n"));
    check([
        (rising(5.1), rising(5.0), "would never be reached"),
        (falling(4.9), falling(5.0), "would never be reached"),
        (rising(6.0), rising(4.0), "limits rise with severity"),
        (falling(4.0), falling(6.0), "limits fall as severity rises"),
    ]);
    let tilt = |limit: f64| new(&format!("types = [\"TILT\"]\nmetric = \"Xt\"\ndeviates = {limit:?}\n"));
    check([
        (tilt(0.1), tilt(0.0), "an angle from the baseline"),
        (tilt(180.0), tilt(180.1), "an angle from the baseline"),
    ]);
}

#[test]
fn numbers_and_times_have_bounds() {
    let count = |count: &str| {
        new(&format!("kind = \"reasons\"\ntypes = [\"FD\"]\nmetric = \"rating\"\nat_least = 4\ncount = {count}\n"))
    };
    let limit = |limit: &str| format!("[rate_limit]\n{limit}\n");
    let block = |block: &str| format!("block = {block}\n");
    check([
        (count("1"), count("0"), "from 1 to 1,000"),
        (count("1000"), count("1001"), "from 1 to 1,000"),
        (count("2.0"), count("2.5"), "from 1 to 1,000"),
        (limit("per_minute = 1"), limit("per_minute = 0.5"), "from 1 to 30,000"),
        (limit("per_minute = 30000"), limit("per_minute = 30001"), "from 1 to 30,000"),
        (limit("burst = 1"), limit("burst = 0"), "from 1 to 30,000"),
        (limit("burst = 30000"), limit("burst = 30001"), "from 1 to 30,000"),
        (limit("sms_per_day = 0"), limit("sms_per_day = -1"), "from 0 to 30,000"),
        (limit("sms_per_day = 30000"), limit("sms_per_day = 0.5"), "from 0 to 30,000"),
        (block("\"24h\""), block("\"24h 1s\""), "each at most 24h"),
        (block("\"1s\""), block("\"0s\""), "each at most 24h"),
        (block("{ rule = \"1h\" }"), block("{ rule = \"-1h\" }"), "each at most 24h"),
        (block("{ zone = \"none\" }"), block("{ other = \"none\" }"), "each at most 24h"),
    ]);
}

#[test]
fn a_wrong_unit_is_an_error_and_an_unknown_metric_has_a_suggestion() {
    let with = |types: &str, metric: &str, unit: &str| {
        new(&format!("types = [\"{types}\"]\nmetric = \"{metric}\"\nunit = \"{unit}\"\nabove = 1\n"))
    };
    let occupied = |metric: &str| new(&format!("types = [\"OCCDESK\"]\nmetric = \"{metric}\"\nabove = 0\n"));
    let soap = |metric: &str| new(&format!("types = [\"SS\"]\nmetric = \"{metric}\"\nabove = 0\n"));
    check([
        (with("ODRDTR", "amm", "ppm"), with("ODRDTR", "amm", "ppb"), "`amm` of ODRDTR is in ppm, not ppb"),
        (with("ODRDTR_BATT_V1", "amm", "ppb"), with("ODRDTR_BATT_V1", "amm", "ppm"), "is in ppb, not ppm"),
        (with("UM", "b", "mV"), with("UM", "b", "V"), "is in mV, not V"),
        (occupied("occupied"), occupied("occ"), "use `occupied`"),
        (soap("p"), soap("occ"), "unknown metric `occ`"),
    ]);
    assert!(!errors(&soap("occ"))[0].contains("use `occupied`"), "it has no such metric");
}

#[test]
fn an_override_applies_in_its_scope() {
    let text = "[[rule]]\nid = \"paper-low\"\ntitle = \"T\"\ntypes = [\"TR\", \"PT\"]\nmetric = \"p\"\nbelow = 5\n\
                [[rule.override]]\ntypes = [\"PT\"]\nbelow = 20\n";
    let rules = RuleSet::parse("r", text).unwrap_or_else(|diagnostics| panic!("{diagnostics:#?}"));
    let rule = rules.rules.iter().find(|rule| rule.id == "paper-low").unwrap();
    let limit = |device_type: &str| {
        let text = format!(r#"{{"DevType":"{device_type}"}}"#);
        let reading = Reading::read(&text).unwrap();
        rule.effective(&reading.source).unwrap().condition.as_ref().unwrap().tests[0].levels[0].limit
    };
    assert_eq!((limit("TR"), limit("PT")), (5.0, 20.0));
}

#[test]
fn a_new_limit_replaces_all_tests_of_the_rule() {
    // The built-in rule has two tests.
    let spill = |more: &str| format!("[[rule]]\nid = \"spill\"\n{more}\n");
    check([
        (spill("metric = \"AreaP\"\nat_least = 9"), spill("metric = \"AreaP\""), "a metric without a limit"),
        (spill("any = [{ metric = \"AreaP\", at_least = 9 }]"), spill("at_least = 9"), "a limit without a metric"),
    ]);
    let rules = RuleSet::parse("r", &spill("metric = \"AreaP\"\nat_least = 9")).unwrap();
    let rule = rules.rules.iter().find(|rule| rule.id == "spill").unwrap();
    let tests = &rule.settings.condition.as_ref().unwrap().tests;
    assert_eq!((tests.len(), tests[0].metric.as_str(), tests[0].levels[0].limit), (1, "AreaP", 9.0));
}

#[test]
fn active_hours_begin_at_their_first_moment_and_end_before_their_last() {
    let at = |text: &str| -> Timestamp { format!("2026-11-{text}:00Z").parse().unwrap() };
    let singapore = LocalZone { region: Some("Asia/Singapore".into()), offset_seconds: None };
    let day = WeeklyHours { days: Days::ALL, from: time(7, 0, 0, 0), to: time(22, 0, 0, 0) };
    let night = WeeklyHours { days: Days::ALL, from: day.to, to: day.from };
    for (moment, is_day) in [("22T22:59", false), ("22T23:00", true), ("23T13:59", true), ("23T14:00", false)] {
        assert_eq!(day.contain(at(moment), &singapore), is_day, "{moment}");
        assert_eq!(night.contain(at(moment), &singapore), !is_day, "{moment}");
    }
    assert_eq!(day.next(at("23T03:00"), &singapore), at("23T03:00"), "within them");
    assert_eq!(day.next(at("22T22:00"), &singapore), at("22T23:00"), "later on the same day");
    assert_eq!(day.next(at("23T15:00"), &singapore), at("23T23:00"), "the next day");
    assert_eq!(night.next(at("23T03:00"), &singapore), at("23T14:00"));
}

#[test]
fn active_hours_begin_at_their_first_moment_also_when_the_clock_changes() {
    // Berlin 2026: 02:00 becomes 03:00 on 29 March, at 01:00 UTC, and 03:00 becomes 02:00 on 25 October, at 01:00 UTC.
    let berlin = LocalZone { region: Some("Europe/Berlin".into()), offset_seconds: None };
    let at = |text: &str| -> Timestamp { format!("2026-{text}:00Z").parse().unwrap() };
    let hours = |from: [i8; 2], to: [i8; 2]| WeeklyHours {
        days: Days::ALL,
        from: time(from[0], from[1], 0, 0),
        to: time(to[0], to[1], 0, 0),
    };
    for (hours, from, expected, why) in [
        (hours([7, 0], [22, 0]), "03-28T21:30", "03-29T05:00", "the night is an hour shorter"),
        (hours([7, 0], [22, 0]), "10-24T20:30", "10-25T06:00", "the night is an hour longer"),
        (hours([2, 30], [5, 0]), "03-29T00:10", "03-29T01:00", "the first moment is skipped"),
        (hours([2, 30], [2, 45]), "10-25T00:50", "10-25T01:30", "the first moment comes twice"),
        (hours([1, 0], [2, 30]), "10-25T00:40", "10-25T01:00", "the clock is set into the hours again"),
        (hours([2, 10], [2, 50]), "03-29T00:10", "03-30T00:10", "all of the hours are skipped"),
        (hours([2, 10], [2, 50]), "03-28T12:00", "03-30T00:10", "all of the hours of the next day are skipped"),
    ] {
        let next = hours.next(at(from), &berlin);
        assert_eq!(next, at(expected), "{why}");
        assert!(hours.contain(next, &berlin), "{why}");
    }
}

#[test]
fn a_conflict_with_a_built_in_rule_is_reported_at_the_override() {
    let changed = "\n[[rule]]\nid = \"bad-feedback\"\nkind = \"threshold\"\n";
    let diagnostics = RuleSet::parse("rules.toml", changed).unwrap_err();
    let locations: Vec<_> = diagnostics.iter().map(|diagnostic| diagnostic.position.to_string()).collect();
    assert_eq!(locations, ["rules.toml:3:6"], "{diagnostics:#?}");
}

#[test]
fn an_escalation_has_at_most_five_steps_in_the_order_of_time_to_known_audiences() {
    let audiences = "[[audience]]\nid = \"day\"\n[[audience]]\nid = \"boss\"\nseverity = \"high\"\n";
    let with = |steps: &str| format!("[[rule]]\nid = \"soap-low\"\nescalate = {steps}\n{audiences}");
    let step = |minute: usize, to: &str| format!("{{ after = \"{minute}m\", to = \"{to}\" }}");
    let steps =
        |count: usize| format!("[{}]", (1..=count).map(|minute| step(minute, "boss")).collect::<Vec<_>>().join(", "));
    check([
        (with(&steps(5)), with(&steps(6)), "at most 5 steps, not 6"),
        (with(&steps(1)), with(&format!("[{}, {}]", step(2, "boss"), step(2, "day"))), "not later than the one before"),
        (with("[]"), with(&step(1, "bos")), "no audience has the id `bos`; did you mean `boss`?"),
        (with(&step(1, "day")), with("{ to = \"day\" }"), "needs `after`"),
        (with(&step(1, "day")), with("{ after = \"1m\" }"), "needs `to`"),
        (with(&step(1, "day")), with("{ after = \"1m\", to = \"day\", by = \"sms\" }"), "has no `by`"),
        (with(&step(1, "day")), with("\"day\""), "is a step of an escalation, in braces"),
    ]);
    let part = |to: &str| {
        format!(
            "{}[[rule.override]]\nzones = \"z\"\nescalate = {}\n{audiences}",
            with("[]").replace(audiences, ""),
            step(1, to)
        )
    };
    check([(part("day"), part("night"), "no audience has the id `night`")]);
    let alone = |audiences: &str| format!("[[rule]]\nid = \"soap-low\"\nescalate = {}\n{audiences}", step(1, "boss"));
    check([(alone(audiences), alone(""), "add [[audience]] with id = \"boss\"")]);
    // An audience without any alert of its own is one that an escalation names.
    let none = "[[audience]]\nid = \"boss\"\nrules = \"soap-low\"\nseverity = \"critical\"\n";
    check([(alone(none), none.to_owned(), "no rule raises an alert for the audience `boss`")]);
}

#[test]
fn an_acknowledgement_is_worth_half_an_hour_or_what_the_rule_says() {
    let ack_for = |more: &str| {
        let rules = RuleSet::parse("r", &format!("[[rule]]\nid = \"soap-low\"\n{more}")).unwrap();
        rules.rule("soap-low").unwrap().settings.ack_for.as_mins()
    };
    assert_eq!((ack_for(""), ack_for("ack_for = \"5m\"\n")), (30, 5));
    check([(
        new(&format!("{LOW}ack_for = \"1h\"\n")),
        new(&format!("{LOW}ack_for = \"0m\"\n")),
        "`ack_for` is a time",
    )]);
}
