//! Keeps hostile nesting from the Python parser, which has no bound of its own.
//!
//! A tree is at most as deep as the tokens of one item and of all brackets and blocks around it. That is counted before
//! anything is parsed, and what passes is read on a thread with room for it.

use ruff_python_ast::token::TokenKind;
use ruff_python_parser::{Mode, lexer::lex};

use crate::config::error::Finding;

/// The most tokens of one item with everything around it. A long sum of texts has a few hundred.
const MOST_TOKENS: usize = 2000;
/// The most brackets around an item, and blocks around a statement. Python itself allows 200 and 100.
const MOST_BRACKETS: usize = 100;

/// Room for the deepest tree that passes, in bytes: some ten calls per token, about one KiB each without optimisation.
/// Only what is used is ever taken from the machine.
const ROOM: usize = 64 * 1024 * 1024;

/// # Errors
/// When something is nested too deeply.
pub fn check(text: &str) -> Result<(), Finding> {
    let mut tokens = lex(text, Mode::Module);
    // Tokens since the last comma, for each open bracket.
    let mut open = vec![0_usize];
    let (mut blocks, mut lambdas) = (0_usize, 0_usize);
    loop {
        match tokens.next_token() {
            TokenKind::EndOfFile => return Ok(()),
            TokenKind::Comment | TokenKind::NonLogicalNewline => continue,
            TokenKind::Newline | TokenKind::Semi => (open, lambdas) = (vec![0], 0),
            TokenKind::Indent => blocks += 1,
            TokenKind::Dedent => blocks = blocks.saturating_sub(1),
            TokenKind::Lpar | TokenKind::Lsqb | TokenKind::Lbrace => open.push(0),
            TokenKind::Comma => open.last_mut().into_iter().for_each(|item| *item = 0),
            token => {
                // A comma among its parameters does not end a lambda.
                lambdas += usize::from(token == TokenKind::Lambda);
                if matches!(token, TokenKind::Rpar | TokenKind::Rsqb | TokenKind::Rbrace) && open.len() > 1 {
                    open.pop();
                }
                open.last_mut().into_iter().for_each(|item| *item += 1);
            }
        }
        let tokens_around = open.iter().sum::<usize>() + lambdas;
        if tokens_around > MOST_TOKENS || open.len() > MOST_BRACKETS || blocks > MOST_BRACKETS {
            let found = "this is nested too deeply, or a bracket is never closed";
            return Err(Finding::new(None, "", found, "settings, which need eight levels"));
        }
    }
}

/// Runs it where there is room for it.
///
/// # Errors
/// When the system gives no thread.
pub fn with_room<Result: Send>(read: impl FnOnce() -> Result + Send) -> std::result::Result<Result, Finding> {
    let failed = |what: &str| Finding::new(None, "", format!("this file cannot be read: {what}"), "");
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("settings".to_owned()).stack_size(ROOM);
        let thread = thread.spawn_scoped(scope, read).map_err(|error| failed(&format!("no thread for it: {error}")))?;
        thread.join().map_err(|_| failed("the reader of Python has an error; please report it"))
    })
}
