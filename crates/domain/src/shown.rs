//! What of a text from outside can be shown: on a terminal, in a log, in a subject, on a page.

/// Whether `character` shows nothing by itself and changes how what stands around it is shown: controls, the ends of lines
/// and paragraphs, marks that turn the direction of reading, the byte order mark.
#[must_use]
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{fffe}'
                | '\u{ffff}'
        )
}

/// `text` as one line, with a blank for everything [hidden](is_hidden).
///
/// ```
/// use domain::shown::line;
/// assert_eq!(line("a\u{1b}[31mb\r\nc\u{202e}d"), "a [31mb  c d");
/// ```
#[must_use]
pub fn line(text: &str) -> String {
    text.chars().map(|character| if is_hidden(character) { ' ' } else { character }).collect()
}

/// `text` as lines that end as they did, each as [`line()`] has it.
#[must_use]
pub fn lines(text: &str) -> String {
    text.chars().map(|character| if character != '\n' && is_hidden(character) { ' ' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_becomes_a_blank_and_what_is_written_stays() {
        for hidden in ["\0", "\t", "\r", "\u{1b}", "\u{7f}", "\u{9b}", "\u{61c}", "\u{2029}", "\u{202e}", "\u{2069}"] {
            assert_eq!(line(&format!("a{hidden}b")), "a b", "{hidden:?}");
        }
        for written in ["é", "e\u{301}", "حمام", "三楼", "👩\u{200d}🔧", "a\u{a0}b", "क\u{200c}ष", "<&\">"]
        {
            assert_eq!(line(written), written);
        }
    }

    #[test]
    fn lines_keep_their_ends_and_nothing_else() {
        assert_eq!(lines("a\nb\r\u{2028}c\n"), "a\nb  c\n");
        assert_eq!(line("a\nb"), "a b");
    }
}
