//! An event's body, taken out of it.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::Value;

use crate::domain::json::Scanner;

/// An event, and apart from it its body: that is megabytes, and the rest is looked at more than once.
#[derive(Debug)]
pub struct SplitEvent<'e> {
    /// In bytes: whether they are UTF-8 is asked where that matters.
    pub(super) body: Option<Vec<u8>>,
    pub(super) rest: Cow<'e, str>,
}

impl<'e> SplitEvent<'e> {
    /// In one pass. What is no object with a text as its body stays whole, to be found fault with by whoever reads it.
    #[must_use]
    pub fn of(event: &'e str) -> Self {
        Self::walked(event).unwrap_or(Self { body: None, rest: Cow::Borrowed(event) })
    }

    fn walked(event: &str) -> Option<Self> {
        let (mut body, mut rest) = (None, String::from("{"));
        let mut scanner = Scanner::new(event);
        scanner.object(|scanner, name| {
            if name == "body" && scanner.upcoming() == Some(b'"') {
                let mut text = vec![0; scanner.left()];
                let length = scanner.unescape(&mut text)?;
                text.truncate(length);
                body = Some(text);
                return Some(());
            }
            let value = scanner.value()?;
            let separator = if rest.len() > 1 { "," } else { "" };
            // Writing to a String cannot fail.
            let _ = write!(rest, "{separator}{}:{value}", Value::from(name));
            Some(())
        })?;
        scanner.end()?;
        rest.push('}');
        Some(Self { body, rest: Cow::Owned(rest) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_taken_out_of_its_event_wherever_it_stands_and_whatever_it_holds() {
        let event = r#"{"a":"\u00e9\"","body":"[\"{\\\"body\\\":1}\"]","b":{"body":2}}"#;
        let split = SplitEvent::of(event);
        assert_eq!(split.body.as_deref(), Some(br#"["{\"body\":1}"]"#.as_slice()));
        assert_eq!(split.rest, r#"{"a":"\u00e9\"","b":{"body":2}}"#);
        for (event, rest) in
            [(r#"{"body":null}"#, r#"{"body":null}"#), (r#"{"body":7}"#, r#"{"body":7}"#), ("[", "["), ("{}", "{}")]
        {
            let split = SplitEvent::of(event);
            assert_eq!((split.body.as_deref(), split.rest.as_ref()), (None, rest), "{event}");
        }
    }
}
