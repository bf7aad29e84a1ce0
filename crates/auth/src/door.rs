//! The ways in, and which of them are open.

use std::fmt;
use std::str::FromStr;

/// A way to authenticate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Basic authentication, RFC 7617.
    Basic,
    /// Our own bearer tokens (RFC 6750), which `POST /oauth2/token` gives.
    Oauth,
    /// Azure Event Hubs' send call with its shared access signature.
    EventHub,
    /// AWS IoT: what is published to a topic. Not a matter of HTTP; a topic rule brings it.
    Iot,
}

impl Door {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Basic, Self::Oauth, Self::EventHub, Self::Iot];

    /// Its name in `DOORS` and `--doors`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Oauth => "oauth",
            Self::EventHub => "event-hub",
            Self::Iot => "iot",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The open doors, at least one. Basic alone unless somebody says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doors(u8);

/// Why a text does not name doors. Only another text can help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DoorsFault {
    /// There is no door of that name.
    #[error("there is no door \"{0}\"; the doors are basic, oauth, event-hub and iot, with commas between them")]
    Unknown(String),
    /// It names none.
    #[error("no door is named; the doors are basic, oauth, event-hub and iot, with commas between them")]
    Empty,
}

impl Doors {
    /// These doors and no others.
    #[must_use]
    pub fn of(doors: &[Door]) -> Self {
        Self(doors.iter().fold(0, |bits, door| bits | door.bit()))
    }

    /// Whether clients push with a password or a token.
    #[must_use]
    pub fn takes_pushes(self) -> bool {
        self.contains(Door::Basic) || self.contains(Door::Oauth)
    }

    /// Whether `door` is open.
    #[must_use]
    pub fn contains(self, door: Door) -> bool {
        self.0 & door.bit() != 0
    }
}

impl Default for Doors {
    fn default() -> Self {
        Self::of(&[Door::Basic])
    }
}

impl FromStr for Doors {
    type Err = DoorsFault;

    /// Reads a list such as `basic,oauth`. Case, spaces around a name, and naming one twice do not matter.
    fn from_str(list: &str) -> Result<Self, DoorsFault> {
        let mut doors = Vec::new();
        for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let known = Door::ALL.into_iter().find(|door| door.name().eq_ignore_ascii_case(name));
            doors.push(known.ok_or_else(|| DoorsFault::Unknown(name.to_owned()))?);
        }
        if doors.is_empty() { Err(DoorsFault::Empty) } else { Ok(Self::of(&doors)) }
    }
}

impl fmt::Display for Doors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open: Vec<_> = Door::ALL.into_iter().filter(|door| self.contains(*door)).map(Door::name).collect();
        f.write_str(&open.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_opens_what_it_names_and_nothing_else() {
        for (list, open) in [
            ("basic", "basic"),
            ("oauth,basic", "basic,oauth"),
            (" Event-Hub , IOT,", "event-hub,iot"),
            ("basic,oauth,event-hub,iot", "basic,oauth,event-hub,iot"),
            ("oauth,oauth", "oauth"),
        ] {
            assert_eq!(list.parse::<Doors>().unwrap().to_string(), open);
        }
        assert_eq!(Doors::default().to_string(), "basic");
    }

    #[test]
    fn a_wrong_name_is_repeated_with_those_there_are() {
        let fault = "basic,oauht".parse::<Doors>().unwrap_err().to_string();
        assert!(fault.contains("\"oauht\"") && fault.contains("basic, oauth, event-hub and iot"), "{fault}");
        for empty in ["", " , "] {
            assert_eq!(empty.parse::<Doors>().unwrap_err(), DoorsFault::Empty);
        }
        assert!("eventhub".parse::<Doors>().is_err());
    }
}
