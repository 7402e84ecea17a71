//! Where a home-made queue on Redis keeps what its workers took and have not finished: a key that the user names.
//!
//! Such a key may be a list (`LMOVE queue processing`), a set, a sorted set or a hash. Which of them it is nobody has to
//! say: all four are asked for their size, in the pipeline that is sent anyway, and the one answers that is meant.

use autoscalebot_core::registry::Problem;
use redis::{Pipeline, Value};

use super::Names;
use crate::{broker::redis::Server, measurement::MeasureError};

/// What stands for the name of the queue.
const QUEUE: &str = "{queue}";

/// One for each kind of thing that has a size.
const SIZES: [&str; 4] = ["LLEN", "SCARD", "ZCARD", "HLEN"];

/// The setting `IN_PROGRESS_NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InProgressName(Option<String>);

impl InProgressName {
    /// Nothing, or a key, in which `{queue}` stands for the name of the queue.
    #[must_use]
    pub fn new(setting: Option<&str>) -> Self {
        Self(setting.map(str::to_owned))
    }

    /// Whether there is one.
    #[must_use]
    pub fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// What is wrong with it, for queues of these names.
    #[must_use]
    pub fn problems(&self, queue_names: &[String]) -> Vec<Problem> {
        let Some(key) = &self.0 else { return Vec::new() };
        let allowed = "a key, such as processing:{queue}";
        let names = Names::new(queue_names);
        let one = names.patterns().is_empty() && names.literal().len() == 1;
        let found = match key.as_str() {
            "" => "an empty key".to_owned(),
            key if !one && !key.contains(QUEUE) => {
                format!("{key:?} for several queues, which would be counted for each")
            }
            _ => return Vec::new(),
        };
        vec![Problem::new("in_progress_name", found, allowed)]
    }

    /// Asks for its size.
    pub fn ask(&self, pipeline: &mut Pipeline, queue: &str) {
        if let Some(key) = &self.0 {
            let key = key.replace(QUEUE, queue);
            for size in SIZES {
                pipeline.cmd(size).arg(&key);
            }
        }
    }

    /// The size, from the answers to what was asked.
    ///
    /// # Errors
    /// When the key holds something that has no size, or Redis refuses to say.
    pub fn read(
        &self,
        server: &Server,
        pipeline: &Pipeline,
        answers: &mut impl Iterator<Item = (usize, Value)>,
    ) -> Result<Option<u64>, MeasureError> {
        if self.0.is_none() {
            return Ok(None);
        }
        let mut why = None;
        let mut size = None;
        for (index, answer) in answers.take(SIZES.len()) {
            match answer {
                // Of a key that is not there all say 0; of one that is, only the right one says something.
                Value::Int(count) => size = u64::try_from(count).ok(),
                Value::ServerError(error) => {
                    why = pipeline.cmd_iter().nth(index).map(|asked| server.refusal(asked, &error))
                }
                _ => return Err(server.babbles()),
            }
        }
        size.map(Some).ok_or_else(|| why.unwrap_or_else(|| server.babbles()))
    }
}
