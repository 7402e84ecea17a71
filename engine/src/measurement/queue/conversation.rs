//! A few questions to a Redis server, asked by several parts of a measurement and sent together.
//!
//! Each part asks what it needs and keeps a [`Ticket`]; [`Conversation::hear`] sends everything that was asked since the
//! last time in one round trip; then each part takes its answer. So a measurement of twenty queues costs as many round
//! trips as one of a single queue. What Redis answers is typed when it is taken, and an answer of another kind is an error.

use std::time::Duration;

use redis::{Cmd, FromRedisValue, Pipeline, Value};

use crate::{broker::redis::Server, measurement::MeasureError};

/// Questions and answers of one measurement.
pub struct Conversation<'a> {
    server: &'a Server,
    limit: Duration,
    asked: Pipeline,
    /// Answers, in the order of the questions; what is still to be sent has none.
    answers: Vec<Value>,
}

/// Which question an answer belongs to.
#[derive(Debug, Clone, Copy)]
pub struct Ticket(usize);

impl<'a> Conversation<'a> {
    /// With `server`; each round trip may take `limit`.
    #[must_use]
    pub fn new(server: &'a Server, limit: Duration) -> Self {
        Self { server, limit, asked: Pipeline::new(), answers: Vec::new() }
    }

    /// Asks with the next round trip: the command's words.
    pub fn ask(&mut self, words: &[&str]) -> Ticket {
        let mut command = Cmd::new();
        for word in words {
            command.arg(*word);
        }
        self.asked.add_command(command);
        Ticket(self.answers.len() + self.asked.len() - 1)
    }

    /// Sends what was asked, in one round trip; in none when nothing was.
    ///
    /// # Errors
    /// When the server does not answer, or refuses one of the questions.
    pub async fn hear(&mut self) -> Result<(), MeasureError> {
        if self.asked.is_empty() {
            return Ok(());
        }
        let asked = std::mem::take(&mut self.asked);
        let answers = self.server.ask(&asked, self.limit).await?;
        if answers.len() != asked.len() {
            return Err(self.nonsense());
        }
        self.answers.extend(answers);
        Ok(())
    }

    /// The answer to a question. It can be taken once.
    ///
    /// # Errors
    /// When it is not what such a question is answered with.
    pub fn take<T: FromRedisValue>(&mut self, ticket: Ticket) -> Result<T, MeasureError> {
        let answer = self.answers.get_mut(ticket.0).map(std::mem::take);
        answer.and_then(|answer| T::from_redis_value(answer).ok()).ok_or_else(|| self.nonsense())
    }

    fn nonsense(&self) -> MeasureError {
        let message = format!("{} answers with something else than was asked for", self.server.shown());
        MeasureError::unknown("broker_error", message)
    }
}
