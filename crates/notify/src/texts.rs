//! Messages in the languages of people: built-in ones, and those of a rules file that replace them. In Fluent.

use std::borrow::Cow;
use std::sync::LazyLock;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};

use domain::display::{is_hidden, line, lines};
use domain::rules::names::Names;
use domain::rules::{OwnTexts, RuleSet};

pub(super) const EN: &str = include_str!("../texts/en.ftl");
pub(super) const ZH_HANS: &str = include_str!("../texts/zh-Hans.ftl");

static ENGLISH: LazyLock<Bundle> = LazyLock::new(|| bundle("en", EN));
static CHINESE: LazyLock<Bundle> = LazyLock::new(|| bundle("zh-Hans", ZH_HANS));

/// The messages of one source in one language.
type Bundle = FluentBundle<FluentResource>;

/// Each language with built-in texts.
pub(super) const BUILT_IN: [(&str, &LazyLock<Bundle>); 2] = [("en", &ENGLISH), ("zh-Hans", &CHINESE)];

static NO_NAMES: LazyLock<Names> = LazyLock::new(Names::default);

/// The messages in one language, and the names of locations. A message that the language does not have is in English.
pub(super) struct Texts<'n> {
    /// Of sites, zones and devices.
    pub(super) names: &'n Names,
    /// The tag of the language: `zh-Hans`.
    pub(super) language: String,
    /// Those of the rules file.
    own: Option<Bundle>,
    built_in: Option<&'static Bundle>,
    own_english: Option<Bundle>,
}

/// Declares each message: its key, and the variables that the code gives it. Messages without variables are last.
macro_rules! messages {
    ($($key:literal $name:ident($($variable:ident),+);)* without variables: $($bare_key:literal $bare_name:ident();)*) => {
        /// The keys of the messages with their variables.
        pub(super) const MESSAGES: &[(&str, &[&str])] =
            &[$(($key, &[$(stringify!($variable)),+]),)* $(($bare_key, &[])),*];

        impl Texts<'_> {
            $(pub(super) fn $name<'v>(&self, $($variable: impl Into<FluentValue<'v>>),+) -> String {
                self.message($key, [$((stringify!($variable), $variable.into())),+])
            })*

            $(pub(super) fn $bare_name(&self) -> String {
                self.message($bare_key, [])
            })*
        }
    };
}

messages! {
    "alert" alert(location, what, time);
    "alert-since" alert_since(location, what, time, since);
    "alert-counted" alert_counted(location, what, time, since);
    "alert-repeated" alert_repeated(location, what, time, times);
    "alert-no-data" alert_no_data(location, title, duration, since);
    "with-reasons" with_reasons(text, reasons);
    "with-action" with_action(text, action, ended);
    "more" more(count);
    "times" times(count, since);
    "breach" breach(label, value, limit);
    "breach-since" breach_since(breach, since);
    "breach-counted" breach_counted(breach, since);
    "breach-repeated" breach_repeated(breach, times);
    "deviation" deviation(value);
    "reminder" reminder(location, title, time, since);
    "reminder-values" reminder_values(location, title, time, since, values, raised);
    "reminder-template" reminder_template(time, since, text);
    "escalated" escalated(answer, duration, text);
    "escalated-taken" escalated_taken(by, time, text);
    "last-reminder" last_reminder(text, since);
    "resolved" resolved(location, title, time);
    "resolved-lasted" resolved_lasted(location, title, time, raised, duration);
    "data-again" data_again(location, time);
    "data-again-since" data_again_since(location, time, since, duration);
    "subject" subject(title, location);
    "subject-reminder" subject_reminder(title, location);
    "subject-escalated" subject_escalated(answer, title, location);
    "email-where" email_where(location);
    "email-floor" email_floor(floor);
    "email-note" email_note(note);
    "email-when" email_when(time);
    "email-raised" email_raised(time);
    "email-device" email_device(device);
    "email-alert" email_alert(title, severity);
    "email-at" email_at(time);
    "email-measured" email_measured(relation, label, value, distance, limit);
    "points" points(count);
    "email-duration" email_duration(state, duration, since);
    "email-reason" email_reason(reason);
    "and-more" and_more(count);
    "email-blocked" email_blocked(count);
    "email-id" email_id(kind, id);
    "email-rules" email_rules(count, rules);
    "email-answer" email_answer(link);
    "answer" answer(link);
    "no-sms" no_sms(cause);
    "list-alerts" list_alerts(reason, count);
    "list-head" list_head(location, alerts);
    "list-sentence" list_sentence(reason, location, alerts);
    "list-explanation" list_explanation(reason);
    "list-newest" list_newest(time);
    "list-locations" list_locations(location, count);
    "list-title" list_title(location, title);
    "list-resolved" list_resolved(line, since);
    "list-suppressed" list_suppressed(line, count);
    "list-over" list_over(alert);
    "digest-alerts" digest_alerts(count, severities);
    "digest-severity" digest_severity(count, severity);
    "digest-all-over" digest_all_over(count);
    "digest-over" digest_over(count);
    "digest-suppressed" digest_suppressed(count);
    "notice-rules-refused" rules_refused(count);
    "notice-rules-refused-text" rules_refused_text(file, faults);
    "notice-nothing-arrives-text" nothing_arrives_text(since);
    "notice-not-subscribed" not_subscribed(audiences);
    "notice-not-subscribed-text" not_subscribed_text(audiences, first);
    "notice-set-aside-text" set_aside_text(key, error);
    "notice-channel-fails" channel_fails(channel);
    "notice-channel-fails-text" channel_fails_text(channel, since, error);
    "notice-recipient-refuses-text" recipient_refuses_text(recipient, reply);
    "severity" severity(severity);
    "device-id" device_id(id);
    "unnamed-device" unnamed_device(device);
    "duration" duration(unit, count);
    "weekday" weekday(day);
    "month" month(month);
    "date" date(weekday, day, month, year);
    "day-month" day_month(day, month);
    "day-month-year" day_month_year(day, month, year);
    without variables:
    "answer-button" answer_button();
    "digest-explanation" digest_explanation();
    "notice-nothing-arrives" nothing_arrives();
    "notice-set-aside" set_aside();
    "notice-recipient-refuses" recipient_refuses();
}

impl<'n> Texts<'n> {
    /// The texts in `language`, with those of a rules file.
    pub(super) fn new(language: &str, rules: &'n RuleSet) -> Self {
        let own = |language: &str| {
            let texts: &OwnTexts = rules.texts.iter().find(|texts| texts.language == language)?;
            Some(bundle(language, &texts.text))
        };
        let built_in = BUILT_IN.into_iter().find(|(built_in, _)| *built_in == language);
        Self {
            names: &rules.names,
            language: language.to_owned(),
            own: own(language),
            built_in: built_in.map(|(_, bundle)| LazyLock::force(bundle)),
            own_english: if language == "en" { None } else { own("en") },
        }
    }

    /// The built-in English texts, without names.
    pub(super) fn english() -> Self {
        Self { names: &NO_NAMES, language: "en".to_owned(), own: None, built_in: Some(&ENGLISH), own_english: None }
    }

    fn message<const N: usize>(&self, key: &str, variables: [(&'static str, FluentValue<'_>); N]) -> String {
        let variables = FluentArgs::from_iter(variables);
        let bundles = [self.own.as_ref(), self.built_in, self.own_english.as_ref(), Some(&ENGLISH)];
        let message = bundles.into_iter().flatten().find_map(|bundle| text(bundle, key, Some(&variables)));
        message.map(Cow::into_owned).unwrap_or_default()
    }

    /// The title of a rule. `title` is in the rules.
    pub(super) fn title(&self, rule: &str, title: &str) -> String {
        self.name("title", rule, title)
    }

    /// The title of a rule in English, if the rules have it in English.
    pub(super) fn english_title(&self, rule: &str, title: &str) -> String {
        let english = if self.language == "en" { &self.own } else { &self.own_english };
        let own = english.as_ref().and_then(|bundle| text(bundle, &name_key("title", rule), None));
        own.map_or_else(|| title.to_owned(), Cow::into_owned)
    }

    /// The action of a rule. `action` is in the rules.
    pub(super) fn action(&self, rule: &str, action: &str) -> String {
        self.name("action", rule, action)
    }

    /// The name of a metric, or a flag in words. `label` is the English one.
    pub(super) fn label(&self, label: &str) -> String {
        self.name("label", label, label)
    }

    /// The name of a device type. `title` is the English one.
    pub(super) fn device(&self, title: &str) -> String {
        self.name("device", title, title)
    }

    /// `written`, the English name of `id`, in the language. A name that an operator wrote stays, unless the rules file has its
    /// translation.
    fn name(&self, kind: &str, id: &str, written: &str) -> String {
        let key = name_key(kind, id);
        let own = || self.own.as_ref().and_then(|bundle| text(bundle, &key, None));
        let is_built_in = || text(&ENGLISH, &key, None).is_some_and(|built_in| built_in == written);
        let built_in = || self.built_in.filter(|_| is_built_in()).and_then(|bundle| text(bundle, &key, None));
        let english = || self.own_english.as_ref().and_then(|bundle| text(bundle, &key, None));
        own().or_else(built_in).or_else(english).map_or_else(|| written.to_owned(), Cow::into_owned)
    }
}

/// The key of a name: `title-soap-low`. Other characters than those of a key become `-`.
pub(super) fn name_key(kind: &str, id: &str) -> String {
    let words = id.split(|character: char| !character.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.fold(kind.to_owned(), |key, word| key + "-" + word)
}

/// Whether a text may have several lines.
pub(super) fn is_multiline(key: &str) -> bool {
    key.starts_with("notice-") && key.ends_with("-text")
}

/// Faults of `source` were reported when the rules were read. What is valid is used.
fn bundle(language: &str, source: &str) -> Bundle {
    let resource = FluentResource::try_new(source.to_owned()).unwrap_or_else(|(resource, _)| resource);
    let mut bundle = Bundle::new_concurrent(language.parse().into_iter().collect());
    // Texts stand in SMS and in subjects, which have no room for invisible marks.
    bundle.set_use_isolating(false);
    bundle.add_resource_overriding(resource);
    bundle
}

fn text<'b>(bundle: &'b Bundle, key: &str, variables: Option<&FluentArgs<'_>>) -> Option<Cow<'b, str>> {
    let pattern = bundle.get_message(key)?.value()?;
    let text = bundle.format_pattern(pattern, variables, &mut Vec::new());
    Some(match text.contains(is_hidden) {
        true if is_multiline(key) => lines(&text).into(),
        true => line(&text).into(),
        false => text,
    })
}
