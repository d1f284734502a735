//! Tokens of the code.

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    Name(String),
    Number(String),
    Text(String),
    Mark(char),
    /// The end of a line that no bracket keeps open.
    Line,
}

/// Splits the code into tokens.
pub fn tokens(code: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = code;
    let mut open = 0usize;
    while let Some(first) = rest.chars().next() {
        let long = |fits: fn(char) -> bool| rest.find(|char| !fits(char)).unwrap_or(rest.len());
        let number_follows = || rest[1..].starts_with(|char: char| char.is_ascii_digit());
        let length = match first {
            '\n' => {
                if open == 0 && !matches!(tokens.last(), None | Some(Token::Line)) {
                    tokens.push(Token::Line);
                }
                1
            }
            ' ' => 1,
            'a'..='z' | 'A'..='Z' | '_' => {
                let length = long(|char| char.is_ascii_alphanumeric() || char == '_');
                tokens.push(Token::Name(rest[..length].into()));
                length
            }
            '0'..='9' | '-' if first != '-' || number_follows() => {
                let mut length = 1;
                while let Some(next) = rest[length..].chars().next() {
                    let exponent = rest[..length].ends_with('e') && matches!(next, '-' | '+');
                    if !(next.is_ascii_digit() || matches!(next, '.' | 'e') || exponent) {
                        break;
                    }
                    length += 1;
                }
                tokens.push(Token::Number(rest[..length].into()));
                length
            }
            '"' => {
                let length = rest[1..].find('"').ok_or("a text in its code has no end")?;
                tokens.push(Token::Text(rest[1..=length].into()));
                length + 2
            }
            '(' | ')' | '[' | ']' | ',' | ':' | '=' | '.' | '-' | '>' => {
                match first {
                    '(' | '[' => open += 1,
                    ')' | ']' => open = open.saturating_sub(1),
                    _ => {}
                }
                tokens.push(Token::Mark(first));
                1
            }
            other => return Err(format!("its code has the character {other:?}, which no export writes")),
        };
        rest = &rest[length..];
    }
    Ok(tokens)
}
