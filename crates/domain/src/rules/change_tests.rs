//! The severity of a changed limit, and diagnostics of ambiguous changes.

use super::{Diagnostic, MentionKind, RuleSet};
use crate::reading::Reading;
use crate::severity::Severity;

fn parsed(text: &str) -> RuleSet {
    RuleSet::parse("r", text).unwrap_or_else(|diagnostics| panic!("{text}\n{diagnostics:#?}"))
}

/// The levels of the first test of `rule` in zone `lobby`: each limit with its severity.
fn levels(rules: &RuleSet, rule: &str) -> Vec<(f64, Severity)> {
    let rule = rules.rules.iter().find(|known| known.id == rule).unwrap();
    let text = format!(r#"{{"DevType":"{}","InsID":"lobby","PID":"tower"}}"#, rule.scope.ids(MentionKind::Type)[0]);
    let effective = rule.effective(&Reading::read(&text).unwrap().source).unwrap();
    let levels = &effective.condition.as_ref().unwrap().tests[0].levels;
    levels.iter().map(|level| (level.limit, level.severity.unwrap_or(effective.severity))).collect()
}

fn errors(text: &str) -> Vec<String> {
    let diagnostics = RuleSet::parse("r", text).err().unwrap_or_default();
    diagnostics
        .iter()
        .map(|Diagnostic { message, suggestion, .. }| format!("{message}; {}", suggestion.as_deref().unwrap()))
        .collect()
}

#[test]
fn a_changed_limit_keeps_the_only_severity_of_its_rule() {
    use Severity::{High, Low, Medium};
    let of = |more: &str| levels(&parsed(&format!("[[rule]]\nid = \"ammonia-wired\"\n{more}\n")), "ammonia-wired");
    assert_eq!(of(""), [(5.0, High)]);
    assert_eq!(of("at_least = 10"), [(10.0, High)]);
    assert_eq!(of("[[rule.override]]\nzones = \"lobby\"\nat_least = 10"), [(10.0, High)]);
    assert_eq!(of("at_least = 10\nseverity = \"low\""), [(10.0, Low)]);
    assert_eq!(of("severity = \"low\""), [(5.0, Low)]);
    assert_eq!(of("at_least = { low = 3 }"), [(3.0, Low)]);
    assert_eq!(of("any = [{ metric = \"amm\", above = 7 }]"), [(7.0, High)]);
    assert_eq!(of("at_least = { medium = 3, high = 8 }"), [(3.0, Medium), (8.0, High)]);
    assert_eq!(of("any = [{ metric = \"amm\", above = { low = 7 } }]"), [(7.0, Low)]);
    let wider = "[[rule.override]]\nsites = \"tower\"\nat_least = { low = 4 }\n";
    assert_eq!(of(&format!("{wider}[[rule.override]]\nzones = \"lobby\"\nat_least = 6")), [(6.0, Low)]);
}

#[test]
fn one_limit_in_place_of_several_severities_needs_a_severity() {
    let change = |more: &str| format!("[[rule]]\nid = \"ammonia-lite\"\n{more}\n");
    let within = |more: &str| change(&format!("[[rule.override]]\nzones = \"lobby\"\n{more}"));
    for text in [change("at_least = 300"), within("at_least = 300")] {
        let expected = "the limits of `ammonia-lite` have several severities, and `at_least = 300` has none; give each limit its \
                        own, or add `severity`: at_least = 300, severity = \"high\"";
        assert_eq!(errors(&text), [expected], "{text}");
    }
    assert_eq!(errors(&change("any = [{ metric = \"amm\", above = 300 }]")).len(), 1);
    for good in
        ["at_least = 300\nseverity = \"medium\"", "at_least = { high = 300 }", "at_least = { low = 1, high = 300 }"]
    {
        assert_eq!((errors(&change(good)), errors(&within(good))), (vec![], vec![]), "{good}");
    }
    // An override changes the settings that apply there without it.
    let table = "[[rule.override]]\nsites = \"tower\"\nbelow = { medium = 20, high = 10 }\n";
    let soap =
        |more: &str| format!("[[rule]]\nid = \"soap-low\"\n{table}[[rule.override]]\nzones = \"lobby\"\n{more}\n");
    assert_eq!(errors(&soap("below = 15")).len(), 1);
    assert_eq!(errors(&soap("severity = \"low\"")).len(), 1);
    assert_eq!(errors(&soap("sites = \"other\"\nbelow = 15")).len(), 0, "another site");
}

#[test]
fn a_severity_without_effect_is_an_error() {
    let lite = |more: &str| errors(&format!("[[rule]]\nid = \"ammonia-lite\"\n{more}\n"));
    assert_eq!(
        lite("at_least = { medium = 200, high = 500 }\nseverity = \"low\""),
        ["`severity` has no effect beside limits that have severities of their own; leave it out"]
    );
    assert_eq!(
        lite("severity = \"low\""),
        ["`severity` has no effect: the limits of `ammonia-lite` have severities of their own; leave it out"]
    );
    assert_eq!(lite("[[rule.override]]\nzones = \"lobby\"\nseverity = \"low\"").len(), 1);
    let mixed = "any = [{ metric = \"amm\", above = { low = 7, high = 9 } }, { metric = \"aqi\", above = 300 }]\n";
    assert_eq!(lite(&format!("{mixed}severity = \"medium\"")), [""; 0], "one of the limits has none of its own");
}

#[test]
fn a_limit_in_the_opposite_direction_is_a_warning() {
    let warnings = |text: &str| -> Vec<String> { parsed(text).warnings.iter().map(ToString::to_string).collect() };
    let soap = |more: &str| warnings(&format!("[[rule]]\nid = \"soap-low\"\n{more}\n"));
    assert_eq!(
        soap("above = 10"),
        [
            "r:3:9: `above` has the opposite direction of `below` in the rule `soap-low`; write `below`, or give your own \
          rule another id"
        ]
    );
    assert_eq!(soap("[[rule.override]]\nzones = \"lobby\"\nat_least = 10").len(), 1);
    assert_eq!(soap("any = [{ metric = \"p\", above = 3 }]").len(), 1);
}

#[test]
fn a_limit_in_the_same_direction_or_of_another_metric_is_no_warning() {
    for text in ["below = 10", "at_most = 10", "metric = \"d\"\nabove = 10", "any = [{ metric = \"d\", above = 10 }]"] {
        assert_eq!(parsed(&format!("[[rule]]\nid = \"soap-low\"\n{text}\n")).warnings, [], "{text}");
    }
    assert_eq!(RuleSet::pack().warnings, []);
}

#[test]
fn a_limit_that_no_value_breaches_is_an_error() {
    let soap = |limit: &str| errors(&format!("[[rule]]\nid = \"soap-low\"\n{limit}\n"));
    assert_eq!(soap("below = 0"), ["no value breaches `below = 0`; `p` is from 0 to 100 %"]);
    assert_eq!(soap("[[rule.override]]\nzones = \"lobby\"\nbelow = 0").len(), 1);
    for good in ["below = 0.1", "at_most = 0", "below = 100"] {
        assert_eq!(soap(good), [""; 0], "{good}");
    }
    let count = |kind: &str| {
        let rule = format!("types = [\"UM\"]\nmetric = \"count\"\nat_least = 60000\nkind = \"{kind}\"\n");
        errors(&format!("[[rule]]\nid = \"new\"\ntitle = \"T\"\n{rule}")).len()
    };
    assert_eq!((count("threshold"), count("accumulate")), (1, 0), "a sum reaches any limit");
}

#[test]
fn an_id_similar_to_a_known_one_is_the_only_error() {
    let diagnostics = RuleSet::parse("r", "[[rule]]\nid = \"soap-lwo\"\nbelow = 10\ntypes = [\"QQ\"]\n").unwrap_err();
    let errors: Vec<_> = diagnostics.iter().map(ToString::to_string).collect();
    let expected =
        "r:2:6: no built-in rule has the id `soap-lwo`; did you mean `soap-low`? A rule of your own needs a `title`";
    assert_eq!(errors, [expected]);
}

#[test]
fn a_file_that_is_not_utf_8_has_one_error_at_its_position() {
    let diagnostics = RuleSet::read("r", b"# caf\xe9\nid = 3\n", |_| Vec::new()).unwrap_err();
    let errors: Vec<_> = diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(errors, ["r:1:6: the file is not UTF-8: the byte 0xe9; save the file as UTF-8"]);
    assert!(
        RuleSet::read("r", "\u{feff}# café\n".as_bytes(), |_| Vec::new()).is_ok(),
        "a byte order mark is no diagnostic"
    );
}
