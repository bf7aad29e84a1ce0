//! Numbers, quantities, ids and dates as text, and how texts are shortened.

use std::cmp::Ordering;

use jiff::{SignedDuration, Timestamp};
use unicode_segmentation::UnicodeSegmentation as _;

use super::texts::Texts;
use super::time::span;
use domain::breach::{Breach, Comparison};
use domain::device::Unit;
use domain::display::{first_graphemes, first_that_fit, unlinked};
use domain::location::Location;

/// Numbers from here on are not written out: f64 has too few digits, and no sensor measures as much.
const LARGEST: f64 = 1e15;
/// Most decimals of a number.
const MOST_DECIMALS: usize = 9;
/// Most decimals of a limit, which is shown as the rules have it.
const LIMIT_DECIMALS: usize = 6;

/// The breach as text: "ammonia 270 ppb (limit 200)".
///
/// # Examples
/// ```
/// use domain::breach::{Breach, Comparison};
/// use domain::device::Unit;
///
/// let (metric, label) = ("amm".to_owned(), "ammonia".to_owned());
/// let breach = Breach { metric, label, value: 270.0, unit: Unit::Ppb, comparison: Comparison::AtLeast, limit: 200.0 };
/// assert_eq!(notify::in_words(&breach), "ammonia 270 ppb (limit 200)");
/// ```
#[must_use]
pub fn in_words(breach: &Breach) -> String {
    phrase(breach, str::to_owned, Charset::Unicode, &Texts::english())
}

/// `value` with its unit, as in messages.
///
/// # Examples
/// ```
/// use domain::device::Unit;
///
/// assert_eq!(notify::amount(270.0, Unit::Ppb), "270 ppb");
/// assert_eq!(notify::amount(0.05, Unit::MilligramsPerCubicMetre), "0.05 mg/m³");
/// ```
#[must_use]
pub fn amount(value: f64, unit: Unit) -> String {
    quantity(&number(value), unit, Charset::Unicode)
}

/// A duration: "45 s", "19 min", "1 h 30 min", "3 days".
///
/// # Examples
/// ```
/// assert_eq!(notify::duration(jiff::SignedDuration::from_mins(90)), "1 h 30 min");
/// ```
#[must_use]
pub fn duration(duration: SignedDuration) -> String {
    span(&Texts::english(), duration)
}

/// The known ids of `location`, one line each, the device first. Operators copy them into rules: an id of letters, digits,
/// `-` and `_` is shown as it is, unless it has no letter and could be a telephone number.
pub(super) fn ids(location: &Location, texts: &Texts<'_>) -> impl Iterator<Item = String> {
    let ids = [
        ("device", &location.device),
        ("zone", &location.zone),
        ("project", &location.project),
        ("property", &location.property),
    ];
    let is_plain = |id: &str| {
        let mut characters = id.chars();
        characters.clone().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
            && characters.any(|c| c.is_ascii_alphabetic())
    };
    let shown = move |id: &String| if is_plain(id) { id.clone() } else { unlinked(id) };
    ids.into_iter().filter_map(move |(kind, id)| Some(texts.email_id(kind, shown(id.as_ref()?))))
}

/// The characters of units and ellipses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charset {
    Unicode,
    /// The characters that the GSM 7-bit alphabet and ASCII share.
    Gsm7,
}

impl Charset {
    /// The mark at the end of a shortened text.
    pub(super) fn ellipsis(self) -> &'static str {
        match self {
            Self::Unicode => "…",
            Self::Gsm7 => "...",
        }
    }

    /// The symbol of `unit`.
    pub(super) fn symbol(self, unit: Unit) -> &'static str {
        match self {
            Self::Unicode => unit.symbol(),
            Self::Gsm7 => unit.gsm_symbol(),
        }
    }
}

/// `value` with up to two decimals, below 1 with up to three significant digits. Never an exponent, never "-0".
pub(super) fn number(value: f64) -> String {
    let magnitude = value.abs();
    let decimals = if magnitude >= 1.0 || magnitude == 0.0 {
        2
    } else {
        let first = (1..=MOST_DECIMALS).find(|&decimal| magnitude * 10f64.powi(decimal as i32) >= 1.0);
        first.map_or(MOST_DECIMALS, |first| (first + 2).min(MOST_DECIMALS))
    };
    with_decimals(value, decimals)
}

/// `value` with at most `decimals` decimals.
pub(super) fn with_decimals(value: f64, decimals: usize) -> String {
    if value.is_nan() {
        return "?".to_owned();
    }
    if value.abs() >= LARGEST {
        return if value > 0.0 { "> 999999999999999" } else { "< -999999999999999" }.to_owned();
    }
    let digits = format!("{value:.decimals$}");
    let shortest = if decimals == 0 { &digits } else { digits.trim_end_matches('0').trim_end_matches('.') };
    if shortest == "-0" { "0".to_owned() } else { shortest.to_owned() }
}

/// The value and the limit of `breach`. The value gets as many decimals as the comparison requires: a value over the limit is
/// never shown equal to it or under it.
pub(super) fn value_and_limit(breach: &Breach) -> (String, String) {
    let (value, limit) = (breach.value, breach.limit);
    let limit_text = with_decimals(limit, LIMIT_DECIMALS);
    let relation = value.partial_cmp(&limit);
    if relation == Some(Ordering::Equal) {
        return (limit_text.clone(), limit_text);
    }
    let is_exact = |value_text: &String| {
        let read = |text: &str| text.parse::<f64>().ok();
        read(value_text).zip(read(&limit_text)).is_some_and(|(value, limit)| value.partial_cmp(&limit) == relation)
    };
    let value_text = number(value);
    // Numbers that are not written out differ as text.
    let is_written_out = value.abs() < LARGEST && limit.abs() < LARGEST;
    if !is_written_out && value_text != limit_text || is_exact(&value_text) {
        return (value_text, limit_text);
    }
    let exact = (2..=MOST_DECIMALS).map(|decimals| with_decimals(value, decimals)).find(is_exact);
    let value_text = exact.unwrap_or_else(|| {
        let side = if relation == Some(Ordering::Less) { '<' } else { '>' };
        format!("{side} {limit_text}")
    });
    (value_text, limit_text)
}

/// A number with its unit: "270 ppb", "3 %", "12.3°".
pub(super) fn quantity(number: &str, unit: Unit, charset: Charset) -> String {
    match charset.symbol(unit) {
        "" => number.to_owned(),
        "°" => format!("{number}°"),
        symbol => format!("{number} {symbol}"),
    }
}

/// A flag in English: "occupied", "not occupied", "motion", "no motion".
pub(super) fn flag(label: &str, value: f64) -> String {
    if value != 0.0 {
        label.to_owned()
    } else if label.ends_with("ed") {
        format!("not {label}")
    } else {
        format!("no {label}")
    }
}

/// The breach as text: "ammonia 270 ppb (limit 200)". `shorten` changes the name of the metric.
pub(super) fn phrase(breach: &Breach, shorten: impl Fn(&str) -> String, charset: Charset, texts: &Texts<'_>) -> String {
    if breach.unit == Unit::Flag {
        return shorten(&texts.label(&flag(&breach.label, breach.value)));
    }
    let (value, limit) = value_and_limit(breach);
    let value = compared(breach, quantity(&value, breach.unit, charset), texts);
    texts.breach(shorten(&texts.label(&breach.label)), value, limit)
}

/// `value` as the rule compares it: "12.3° from its baseline".
pub(super) fn compared(breach: &Breach, value: String, texts: &Texts<'_>) -> String {
    if breach.comparison == Comparison::Deviates { texts.deviation(value) } else { value }
}

/// The local time of day, to the minute; in UTC, and marked so, if the time zone is unknown.
pub(super) fn clock(location: &Location, at: Timestamp) -> String {
    let wall = location.local_zone.local_time(at).strftime("%H:%M");
    if location.local_zone.is_known() { wall.to_string() } else { format!("{wall} UTC") }
}

/// The width of `text` in UTF-16 code units: at least its number of characters.
pub(super) fn utf16_units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Shortens `text` to the width `max`, measured by `width`, and ends it with `ellipsis`. Never splits a grapheme, so that no
/// accent and no part of a joined emoji is left alone.
pub(super) fn cut_to_fit(text: &str, ellipsis: &str, max: usize, width: impl Fn(&str) -> usize) -> String {
    if width(text) <= max {
        return text.to_owned();
    }
    let kept = first_that_fit(text, max.saturating_sub(width(ellipsis)), width);
    format!("{}{ellipsis}", kept.trim_end())
}

/// Shortens `text` to this number of graphemes and adds `ellipsis`.
pub(super) fn cut_to_graphemes(text: &str, ellipsis: &str, graphemes: usize) -> String {
    let kept = first_graphemes(text, graphemes);
    if kept.len() == text.len() { text.to_owned() } else { format!("{}{ellipsis}", kept.trim_end()) }
}

/// The number of graphemes: what a person counts as characters.
pub(super) fn graphemes(text: &str) -> usize {
    text.graphemes(true).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::breach;
    use crate::location::LocationNames;
    use crate::time::date_and_time;
    use domain::time::LocalZone;

    #[test]
    fn numbers_have_few_decimals() {
        for (value, expected) in [
            (270.0, "270"),
            (100.0, "100"),
            (30.4, "30.4"),
            (12.346, "12.35"),
            (1.999, "2"),
            (0.5, "0.5"),
            (0.1234, "0.123"),
            (0.01234, "0.0123"),
            (0.000_012_34, "0.0000123"),
            (0.9996, "1"),
            (0.0, "0"),
            (-0.0, "0"),
            (-0.000_000_000_1, "0"),
            (-68.0, "-68"),
            (-0.25, "-0.25"),
            (999_999_999_999_999.0, "999999999999999"),
            (1e300, "> 999999999999999"),
            (-1e300, "< -999999999999999"),
            (f64::INFINITY, "> 999999999999999"),
            (f64::NAN, "?"),
        ] {
            assert_eq!(number(value), expected, "{value:e}");
        }
    }

    #[test]
    fn an_id_can_be_copied_unless_it_could_be_a_link_or_a_telephone_number() {
        for (id, expected) in [
            ("demo-1795936907", "demo-1795936907"),
            ("24E124136B12345", "24E124136B12345"),
            ("6591234567", "6591_2345_67"),
            ("+65 9123 4567", "+6591_2345_67"),
            ("http://evil.example", "http: //evil. example"),
        ] {
            let location = Location { device: Some(id.to_owned()), ..Location::default() };
            assert_eq!(ids(&location, &Texts::english()).collect::<Vec<_>>(), [format!("Device id: {expected}")]);
        }
    }

    #[test]
    fn a_breaching_value_is_never_shown_equal_to_its_limit_or_on_the_other_side() {
        for (value, limit, expected) in [
            (270.0, 200.0, ("270", "200")),
            (200.0, 200.0, ("200", "200")),
            (1.960_000_1, 1.96, ("1.9600001", "1.96")),
            (99.996, 100.0, ("99.996", "100")),
            (4.999, 5.0, ("4.999", "5")),
            // With two decimals it would stand below.
            (1.963, 1.962, ("1.963", "1.962")),
            (0.123_456_7, 0.123_456_7, ("0.123457", "0.123457")),
            (1e-300, 0.0, ("> 0", "0")),
            (200.000_000_000_000_03, 200.0, ("> 200", "200")),
            (199.999_999_999_999_97, 200.0, ("< 200", "200")),
            (1e300, 200.0, ("> 999999999999999", "200")),
        ] {
            let breach = breach("ODRDTR_BATT_V1", "aqi", value, Comparison::AtLeast, limit);
            let (value_text, limit_text) = value_and_limit(&breach);
            assert_eq!((value_text.as_str(), limit_text.as_str()), expected, "{value} {limit}");
        }
    }

    #[test]
    fn neighbouring_values_keep_their_order_as_text() {
        let mut seed = 1_u64;
        for round in 0..20_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Limits as people write them: up to four decimals, either sign; values from 10⁻¹ to 10⁻⁸ away.
            let limit = ((seed >> 33) % 2_000_000) as f64 / 1e4 - 100.0;
            let value = limit + (((seed >> 20) % 19) as f64 - 9.0) * 10f64.powi(-(1 + round % 8));
            let (shown, limit_text) = value_and_limit(&breach("TH", "t", value, Comparison::Above, limit));
            let (Ok(read), Ok(read_limit)) = (shown.parse::<f64>(), limit_text.parse::<f64>()) else {
                assert!(shown.starts_with(['<', '>']) && (value - limit).abs() < 1e-8, "{value} {limit}: {shown}");
                continue;
            };
            assert_eq!(read.partial_cmp(&read_limit), value.partial_cmp(&limit), "{value} {limit}: {shown}");
            assert!(!shown.contains('e') && shown != "-0", "{value}: {shown}");
        }
    }

    #[test]
    fn units_follow_a_space_except_degrees() {
        assert_eq!(quantity("3", Unit::Percent, Charset::Unicode), "3 %");
        assert_eq!(quantity("12.3", Unit::Degree, Charset::Unicode), "12.3°");
        assert_eq!(quantity("12.3", Unit::Degree, Charset::Gsm7), "12.3 deg");
        assert_eq!(quantity("41.5", Unit::MicrogramsPerCubicMetre, Charset::Unicode), "41.5 µg/m³");
        assert_eq!(quantity("41.5", Unit::MicrogramsPerCubicMetre, Charset::Gsm7), "41.5 ug/m3");
        assert_eq!(quantity("30", Unit::One, Charset::Unicode), "30");
    }

    #[test]
    fn a_flag_is_its_label_or_its_negation() {
        assert_eq!((flag("spill", 1.0).as_str(), flag("spill", 0.0).as_str()), ("spill", "no spill"));
        assert_eq!((flag("occupied", 1.0).as_str(), flag("occupied", 0.0).as_str()), ("occupied", "not occupied"));
    }

    #[test]
    fn a_location_is_shown_by_name_else_by_id_else_by_type() {
        let location = |display: Option<&str>, device: Option<&str>, device_type: &str| Location {
            display: display.map(Into::into),
            device: device.map(Into::into),
            device_type: device_type.to_owned(),
            ..Location::default()
        };
        assert_eq!(
            LocationNames::new(&location(Some("Ladies L3"), Some("d1"), "UM"), &Texts::english()).short,
            "Ladies L3"
        );
        assert_eq!(LocationNames::new(&location(None, Some("d1"), "UM"), &Texts::english()).short, "device d1");
        assert_eq!(
            LocationNames::new(&location(None, None, "UM"), &Texts::english()).short,
            "people counter without a name"
        );
        assert_eq!(
            LocationNames::new(&location(None, None, "ODRDTR"), &Texts::english()).short,
            "air quality sensor without a name"
        );
        assert_eq!(
            LocationNames::new(&location(None, None, "ACME#BIN"), &Texts::english()).short,
            "ACME#BIN without a name"
        );
        assert_eq!(LocationNames::new(&location(None, None, ""), &Texts::english()).short, "device without a name");
    }

    #[test]
    fn times_are_local_or_marked_as_utc() {
        let at: Timestamp = "2022-06-01T05:59:45.904Z".parse().unwrap();
        let texts = |region: Option<&str>, offset_seconds| {
            let local_zone = LocalZone { region: region.map(Into::into), offset_seconds };
            let location = Location { local_zone, ..Location::default() };
            (clock(&location, at), date_and_time(&Texts::english(), &location, at))
        };
        for (region, offset, time, full) in [
            (Some("Asia/Singapore"), None, "13:59", "Wed 1 June 2022, 13:59:45 (Asia/Singapore)"),
            (Some("Asia/Atlantis"), Some(20_700), "11:44", "Wed 1 June 2022, 11:44:45 (UTC+05:45)"),
            (Some("America/New_York"), None, "01:59", "Wed 1 June 2022, 01:59:45 (America/New_York)"),
            (None, Some(-36_000), "19:59", "Tue 31 May 2022, 19:59:45 (UTC-10:00)"),
            (None, Some(0), "05:59", "Wed 1 June 2022, 05:59:45 (UTC)"),
            (None, None, "05:59 UTC", "Wed 1 June 2022, 05:59:45 (UTC)"),
            (Some("Asia/Atlantis"), None, "05:59 UTC", "Wed 1 June 2022, 05:59:45 (UTC)"),
        ] {
            assert_eq!(texts(region, offset), (time.to_owned(), full.to_owned()));
        }
    }

    #[test]
    fn a_cut_never_splits_a_grapheme() {
        let family = "👩\u{200d}👩\u{200d}👧";
        let name = format!("a{family}e\u{301}🇸🇬z");
        // Widths in UTF-16: a 1, the family 8, é 2, the flag 4, z 1; the ellipsis takes 1.
        for (max, expected) in [
            (16, name.clone()),
            (15, format!("a{family}e\u{301}…")),
            (12, format!("a{family}e\u{301}…")),
            (11, format!("a{family}…")),
            (9, "a…".to_owned()),
            (1, "…".to_owned()),
        ] {
            assert_eq!(cut_to_fit(&name, "…", max, utf16_units), expected, "{max}");
        }
        assert_eq!(cut_to_graphemes(&name, "…", 2), format!("a{family}…"));
        assert_eq!(cut_to_graphemes(&name, "…", 5), name);
        assert_eq!(cut_to_graphemes("two words", "...", 4), "two...");
    }
}
