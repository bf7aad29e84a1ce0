//! `qr`: a sheet to print, with a QR code for the door of each zone.

use std::fs;
use std::path::PathBuf;

use analysis::words::plural;
use clap::Args;
use maud::{DOCTYPE, PreEscaped, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use qrcode::render::svg;
use qrcode::types::QrError;
use qrcode::{EcLevel, QrCode};
use smartclean_push::domain::rules::{MentionKind, RuleSet};
use smartclean_push::ingest::PublicUrl;

use crate::invite::phone_url;
use crate::output::{note, print_results};
use crate::{Failure, OrFailure as _, rules};

/// The characters of an id that a URL has as they are: RFC 3986, "Unreserved Characters".
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Write a sheet with a QR code for the door of each zone, to print
///
/// Each [[zone]] of the rules file has a card with its site, floor and name, and the pages of the sites are separate. Everybody
/// can read the code on a door, so it only names the zone: to report a cleaning or to see alerts, a phone needs an invitation
/// (`smartclean-push invite`).
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  smartclean-push qr --rules rules.toml --url https://push.example.com --output doors.html
  smartclean-push qr --rules rules.toml --url https://push.example.com --site \"Tower A\" --output tower-a.html

Open the sheet in a browser, and print it on A4.")]
pub(super) struct QrCommand {
    /// The rules file, which declares the zones and their names
    #[arg(long, value_name = "FILE")]
    rules: PathBuf,
    /// The URL at which phones reach the receiver, without a path
    #[arg(long, value_name = "URL", value_parser = phone_url)]
    url: PublicUrl,
    /// Only the zones of this site, by name or id
    #[arg(long)]
    site: Option<String>,
    /// Write the sheet to this file; by default to standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// The card of a zone. Ordered by site, floor and name.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Card {
    site: Option<String>,
    floor: Option<String>,
    name: String,
    url: String,
}

impl QrCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        let rules = rules::load(Some(&self.rules))?;
        let cards = self.cards(&rules)?;
        let sheet = sheet(&cards).map_err(|error| Failure::usage(format!("a QR code cannot be written: {error}")))?;
        match &self.output {
            None => print_results(sheet),
            Some(path) => {
                fs::write(path, sheet).or_failure(format_args!("{} cannot be written", path.display()))?;
                note(format_args!("The sheet with {} is in {}", plural(cards.len(), "QR code"), path.display()));
                Ok(())
            }
        }
    }

    /// The cards of the zones, in the order of the sheet.
    fn cards(&self, rules: &RuleSet) -> Result<Vec<Card>, Failure> {
        let names = &rules.names;
        let only = self.site.as_ref().map(|site| names.id(MentionKind::Site, site)).transpose().or_usage("--site")?;
        let zones = names.zones.iter().filter(|(_, zone)| only.is_none_or(|only| zone.site.as_deref() == Some(only)));
        let mut cards: Vec<_> = zones
            .map(|(id, zone)| {
                let encoded = |text| utf8_percent_encode(text, ENCODED);
                let project = zone.site.as_deref().map(|site| format!("?project={}", encoded(site)));
                Card {
                    site: zone.site.as_deref().map(|site| names.site_name(site).to_owned()),
                    floor: zone.floor.clone(),
                    name: zone.name.clone().unwrap_or_else(|| id.clone()),
                    url: format!("{}/board/z/{}{}", self.url, encoded(id), project.unwrap_or_default()),
                }
            })
            .collect();
        cards.sort();
        if cards.is_empty() {
            let of_site = self.site.as_ref().map_or(String::new(), |site| format!(" with the site `{site}`"));
            return Err(Failure::usage(format!("{} declares no [[zone]]{of_site}", self.rules.display())).with_remedy(
                "Add a table with the id and name of each zone: `smartclean-push zones --toml` writes them from readings",
            ));
        }
        Ok(cards)
    }
}

/// The QR code of a URL. A seventh of it may be covered or dirty.
///
/// # Errors
/// If the URL is too long.
pub(super) fn qr_code(url: &str) -> Result<QrCode, QrError> {
    QrCode::with_error_correction_level(url, EcLevel::M)
}

/// The sheet, with a page or more for each site. It loads nothing.
fn sheet(cards: &[Card]) -> Result<String, QrError> {
    let codes = cards.iter().map(|card| {
        let svg = qr_code(&card.url)?.render::<svg::Color<'_>>().build();
        // HTML has no XML declaration.
        Ok(PreEscaped(svg.split_once("?>").map_or_else(String::new, |(_, svg)| svg.to_owned())))
    });
    let cards: Vec<_> = cards.iter().zip(codes.collect::<Result<Vec<_>, _>>()?).collect();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { "QR codes of zones" }
                style { (PreEscaped(include_str!("qr.css"))) }
            }
            body {
                @for site in cards.chunk_by(|(one, _), (next, _)| one.site == next.site) {
                    section {
                        h1 { bdi { (site[0].0.site.as_deref().unwrap_or("QR codes of zones")) } }
                        div.cards {
                            @for (card, code) in site {
                                article {
                                    h2 { bdi { (card.name) } }
                                    @if let Some(site) = &card.site { p { bdi { (site) } } }
                                    @if let Some(floor) = &card.floor { p { "Floor " bdi { (floor) } } }
                                    (code)
                                    p { "Scan to report a cleaning, or to see alerts" }
                                    p.url { (card.url) }
                                }
                            }
                        }
                    }
                }
            }
        }
    };
    Ok(page.into_string())
}
