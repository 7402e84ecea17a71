//! What Celery's workers say of themselves, asked by Celery's control channel as `celery inspect active` does.
//!
//! ```text
//!  look ──► Control::answer ──► one round per second at most, whoever asks ──► Post: the broker's own way
//!                                      │                                         broadcast, collect replies
//!                                      ▼
//!                       Answer: who works on what, who serves which queue, who was silent
//! ```
//!
//! A thousand bots on one broker are one broadcast a second, not a thousand. Still nobody gets an answer from before its
//! own reading of the queues: a task that left the queue after an old answer would be seen nowhere, and the worker that
//! began it would look free. So a look waits for the next round rather than taking the last.
//!
//! A worker that runs tasks in its main loop (`--pool solo`) does not answer while it works, and what it was asked piles up
//! before it; so silence makes the rounds rarer. Who is silent is never called free.
//!
//! Source: `worker/control.py` and `worker/state.py` of Celery 5.7.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::Deserialize;
use tokio::sync::watch;

use super::{
    answer::{Answer, Planned, PlannedInfo, QueueInfo, Route, Running, TaskInfo},
    pidbox::{Ask, Post, Question, Reply, told},
};
use crate::{clock::Clock, measurement::MeasureError};

/// So long the workers have to answer, as in `celery inspect`.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// At most one round in this time.
const BETWEEN_ROUNDS: Duration = Duration::from_secs(1);

/// As rare as rounds become while a worker is silent. A message of 1 kB every ten seconds needs a day to fill the 8 MB that
/// Redis keeps for a subscriber that does not read, before it cuts it off.
const LONGEST_BETWEEN_ROUNDS: Duration = Duration::from_secs(10);

/// After so many rounds in a row with a silent worker they become half as many.
const ROUNDS_BEFORE_RARER: u32 = 8;

/// A look waits so long for the next round; when that is further away it does without.
const LONGEST_WAIT: Duration = Duration::from_millis(1200);

/// Which queues a worker serves hardly ever changes; it is asked again after this.
const QUEUES_KNOWN_FOR: Duration = Duration::from_secs(30);

/// A worker that did not answer for so long is forgotten.
const WORKER_KNOWN_FOR: Duration = Duration::from_secs(3600);

/// Tasks that workers hold are told with their arguments. When one round of that weighs more than this, they are not asked
/// for during [`HEAVY_RESTS_FOR`]; a worker is then called busy by what it runs alone.
const HEAVY_BYTES: usize = 1024 * 1024;

/// See [`HEAVY_BYTES`].
const HEAVY_RESTS_FOR: Duration = Duration::from_secs(60);

/// What one broker's workers say, for all bots that want to know. Kept in the pool, one per broker and control channel.
pub struct Control {
    post: Box<dyn Post>,
    clock: Arc<dyn Clock>,
    rounds: Mutex<Rounds>,
    asks_for_scheduled: bool,
    roster: Mutex<Roster>,
}

#[derive(Default)]
struct Rounds {
    last: Option<Round>,
    /// How many rounds in a row had a silent worker.
    silent_in_a_row: u32,
}

#[derive(Clone)]
struct Round {
    starts: Duration,
    answer: watch::Receiver<Option<Result<Arc<Answer>, MeasureError>>>,
}

impl Rounds {
    fn pause(&self) -> Duration {
        BETWEEN_ROUNDS
            .saturating_mul(2_u32.saturating_pow(self.silent_in_a_row / ROUNDS_BEFORE_RARER))
            .min(LONGEST_BETWEEN_ROUNDS)
    }
}

impl Control {
    /// Asks through `post`. Asks nothing yet.
    #[must_use]
    pub fn new(post: Box<dyn Post>, clock: Arc<dyn Clock>) -> Self {
        Self { post, clock, rounds: Mutex::default(), asks_for_scheduled: false, roster: Mutex::default() }
    }

    /// The same, asking also for tasks that are held until their time comes, where the broker does not show them.
    #[must_use]
    pub fn asking_for_scheduled(self) -> Self {
        Self { asks_for_scheduled: true, ..self }
    }

    /// What workers say in the first round that begins after this moment (as [`Clock::now`]'s `since_start`), when the
    /// queues had been read. Nothing when that round is too far away, because some worker is silent.
    ///
    /// # Errors
    /// When the broker cannot be asked.
    pub async fn answer(self: &Arc<Self>, read: Duration) -> Result<Option<Arc<Answer>>, MeasureError> {
        self.told_in(self.round(read, Rounds::pause)).await
    }

    /// The same for whoever looks a second time, at once: silence does not make that rarer, or it would never come about
    /// while a worker of any other queue is silent. Only where a question does not pile up before whoever is silent.
    ///
    /// # Errors
    /// When the broker cannot be asked.
    pub async fn answer_again(self: &Arc<Self>, read: Duration) -> Result<Option<Arc<Answer>>, MeasureError> {
        self.told_in(self.round(read, |_| BETWEEN_ROUNDS)).await
    }

    async fn told_in(&self, round: Option<Round>) -> Result<Option<Arc<Answer>>, MeasureError> {
        let Some(mut round) = round else { return Ok(None) };
        let told = round.answer.wait_for(Option::is_some).await;
        let told = told.ok().and_then(|told| told.clone());
        told.unwrap_or_else(|| Err(MeasureError::unknown("broker_error", "the question to the workers was given up")))
            .map(Some)
    }

    fn round(self: &Arc<Self>, read: Duration, pause: fn(&Rounds) -> Duration) -> Option<Round> {
        let mut rounds = self.rounds.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now().since_start;
        if let Some(round) = &rounds.last
            && round.starts >= read
        {
            return Some(round.clone());
        }
        let earliest = rounds.last.as_ref().map_or(now, |round| (round.starts + pause(&rounds)).max(now));
        if earliest - now > LONGEST_WAIT {
            return None;
        }
        let (tell, answer) = watch::channel(None);
        let round = Round { starts: earliest, answer };
        rounds.last = Some(round.clone());
        // A task of its own: whoever waits for it may give up, but what was sent must be tidied up all the same.
        let control = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(earliest - now).await;
            let answer = control.ask().await;
            let silent = matches!(&answer, Ok(answer) if answer.silent > 0);
            let mut rounds = control.rounds.lock().unwrap_or_else(PoisonError::into_inner);
            rounds.silent_in_a_row = if silent { rounds.silent_in_a_row.saturating_add(1) } else { 0 };
            drop(rounds);
            tell.send_replace(Some(answer.map(Arc::new)));
        });
        Some(round)
    }

    async fn ask(&self) -> Result<Answer, MeasureError> {
        let now = self.clock.now();
        let questions = self.roster().questions(now.since_start, self.asks_for_scheduled);
        let replies = self.post.ask(&questions, PATIENCE).await?;
        let mut answer = Answer { asked_at: now.civil, listeners: replies.listeners, ..Answer::default() };
        let strangers = self.roster().read(&mut answer, &questions, &replies.replies, now.since_start);
        if !strangers.is_empty() {
            let question = Question { to: Some(strangers), ..Question::to_all(Ask::ActiveQueues) };
            let questions = [question];
            let replies = self.post.ask(&questions, PATIENCE / 2).await?;
            self.roster().read_routes(&questions, &replies.replies, now.since_start);
        }
        self.roster().complete(&mut answer, now.since_start);
        Ok(answer)
    }

    fn roster(&self) -> std::sync::MutexGuard<'_, Roster> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is remembered between rounds.
#[derive(Default)]
struct Roster {
    workers: BTreeMap<String, Remembered>,
    routes_asked: Option<Duration>,
    reserved_rests_until: Duration,
    scheduled_rests_until: Duration,
}

#[derive(Default)]
struct Remembered {
    heard: Duration,
    routes: Option<Arc<[Route]>>,
}

impl Roster {
    fn questions(&mut self, now: Duration, asks_for_scheduled: bool) -> Vec<Question> {
        // In the order in which a task goes from one to the next: one that moves meanwhile is told twice, and not never.
        let mut questions = Vec::new();
        if asks_for_scheduled && now >= self.scheduled_rests_until {
            questions.push(Question::to_all(Ask::Scheduled));
        }
        if now >= self.reserved_rests_until {
            questions.push(Question::to_all(Ask::Reserved));
        }
        questions.push(Question::to_all(Ask::Active));
        if self.routes_asked.is_none_or(|asked| now.saturating_sub(asked) >= QUEUES_KNOWN_FOR) {
            self.routes_asked = Some(now);
            questions.push(Question::to_all(Ask::ActiveQueues));
        }
        questions
    }

    /// Takes in a round's replies; the workers of which it is not known what they serve.
    fn read(&mut self, answer: &mut Answer, questions: &[Question], replies: &[Reply], now: Duration) -> Vec<String> {
        let (mut reserved_bytes, mut scheduled_bytes) = (0, 0);
        // Replies are counted, not names: two workers may have the same.
        let mut told_of = BTreeMap::<Ask, u64>::new();
        let mut heard_active = BTreeSet::new();
        for (ask, name, says, bytes) in told(questions, replies) {
            match ask {
                Ask::Active => {
                    let Ok(tasks) = Vec::<TaskInfo>::deserialize(says) else { continue };
                    heard_active.insert(name);
                    let running = tasks.into_iter().map(Running::from);
                    answer.workers.entry(name.clone()).or_default().active.extend(running);
                }
                Ask::Reserved => {
                    reserved_bytes += bytes;
                    let Ok(tasks) = Vec::<TaskInfo>::deserialize(says) else { continue };
                    let worker = answer.workers.entry(name.clone()).or_default();
                    worker.reserved.get_or_insert_default().extend(tasks.into_iter().map(Running::from));
                }
                Ask::Scheduled => {
                    scheduled_bytes += bytes;
                    let Ok(tasks) = Vec::<PlannedInfo>::deserialize(says) else { continue };
                    let worker = answer.workers.entry(name.clone()).or_default();
                    worker.scheduled.get_or_insert_default().extend(tasks.into_iter().map(Planned::from));
                }
                Ask::ActiveQueues => continue,
            }
            *told_of.entry(ask).or_default() += 1;
        }
        self.read_routes(questions, replies, now);
        // Who told only half is as silent as who told nothing.
        let is_asked = |ask| questions.iter().any(|question| question.ask == ask);
        let (reserved_asked, scheduled_asked) = (is_asked(Ask::Reserved), is_asked(Ask::Scheduled));
        answer.workers.retain(|name, worker| {
            heard_active.contains(name)
                && (worker.reserved.is_some() || !reserved_asked)
                && (worker.scheduled.is_some() || !scheduled_asked)
        });
        for name in answer.workers.keys() {
            self.workers.entry(name.clone()).or_default().heard = now;
        }
        let asked = [Ask::Active, Ask::Reserved, Ask::Scheduled].into_iter().filter(|ask| is_asked(*ask));
        let answered = asked.map(|ask| told_of.get(&ask).copied().unwrap_or(0)).min().unwrap_or(0);
        answer.silent = answer.listeners.map_or(0, |listeners| listeners.saturating_sub(answered));
        if reserved_bytes > HEAVY_BYTES {
            self.reserved_rests_until = now + HEAVY_RESTS_FOR;
        }
        if scheduled_bytes > HEAVY_BYTES {
            self.scheduled_rests_until = now + HEAVY_RESTS_FOR;
        }
        let unknown = |name: &&String| self.workers.get(*name).is_none_or(|known| known.routes.is_none());
        answer.workers.keys().filter(unknown).cloned().collect()
    }

    fn read_routes(&mut self, questions: &[Question], replies: &[Reply], now: Duration) {
        for (ask, name, says, _) in told(questions, replies) {
            if ask == Ask::ActiveQueues
                && let Ok(queues) = Vec::<QueueInfo>::deserialize(says)
            {
                let known = self.workers.entry(name.clone()).or_default();
                known.heard = known.heard.max(now);
                known.routes = Some(queues.into_iter().map(Route::from).collect());
            }
        }
    }

    /// Adds to a round what earlier ones told.
    fn complete(&mut self, answer: &mut Answer, now: Duration) {
        for (name, worker) in &mut answer.workers {
            worker.routes = self.workers.get(name).and_then(|known| known.routes.clone());
        }
        // When nobody is silent, whoever was not heard is gone. Where the broker does not tell how many there are, that
        // cannot be known.
        let all_heard = answer.listeners.is_some() && answer.silent == 0;
        self.workers.retain(|name, known| {
            answer.workers.contains_key(name) || !all_heard && now.saturating_sub(known.heard) < WORKER_KNOWN_FOR
        });
        let missed = self.workers.iter().filter(|(name, _)| !answer.workers.contains_key(*name));
        answer.missed = missed.map(|(name, known)| (name.clone(), known.routes.clone())).collect();
        if answer.listeners.is_none() {
            answer.silent = u64::try_from(answer.missed.len()).unwrap_or(u64::MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use serde_json::json;

    use super::{
        super::{answer::Known, pidbox::Replies},
        *,
    };
    use crate::clock::SystemClock;

    /// A worker as a test says: its name, its queue, the ids of what it runs, whether it answers.
    type Told = (&'static str, &'static str, Vec<&'static str>, bool);

    #[derive(Default)]
    struct Staff {
        workers: Mutex<Vec<Told>>,
        rounds: Mutex<Vec<Vec<Ask>>>,
    }

    #[async_trait]
    impl Post for Arc<Staff> {
        async fn ask(&self, questions: &[Question], _: Duration) -> Result<Replies, MeasureError> {
            self.rounds.lock().unwrap().push(questions.iter().map(|question| question.ask).collect());
            let workers = self.workers.lock().unwrap();
            let mut replies = Vec::new();
            for question in questions {
                for (name, queue, running, _) in workers.iter().filter(|worker| worker.3) {
                    if question.to.as_ref().is_some_and(|to| !to.iter().any(|to| to == name)) {
                        continue;
                    }
                    let delivery = json!({"exchange": "", "routing_key": queue});
                    let tasks = running.iter().map(|id| json!({"id": id, "delivery_info": delivery}));
                    let says = match question.ask {
                        Ask::Active => tasks.collect(),
                        Ask::Reserved | Ask::Scheduled => json!([]),
                        Ask::ActiveQueues => {
                            json!([{"name": queue, "exchange": {"name": queue}, "routing_key": queue}])
                        }
                    };
                    replies.push(Reply { ticket: question.ticket.clone(), body: json!({*name: says}), bytes: 100 });
                }
            }
            Ok(Replies { listeners: Some(workers.len() as u64), replies })
        }
    }

    fn control(staff: &Arc<Staff>) -> Arc<Control> {
        Arc::new(Control::new(Box::new(staff.clone()), Arc::new(SystemClock::new())))
    }

    fn now(control: &Control) -> Duration {
        control.clock.now().since_start
    }

    async fn answer(control: &Arc<Control>) -> Arc<Answer> {
        tokio::time::advance(Duration::from_millis(1)).await;
        control.answer(now(control)).await.unwrap().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_looks_at_once_are_one_round() {
        let staff = Arc::new(Staff::default());
        staff.workers.lock().unwrap().push(("worker@celery.1", "celery", vec!["a"], true));
        let control = control(&staff);
        let read = now(&control);
        let looks = (0..1000).map(|_| control.answer(read));
        let answers = futures_util::future::join_all(looks).await;
        assert!(answers.iter().all(|answer| answer.as_ref().unwrap().as_ref().unwrap().workers.len() == 1));
        assert_eq!(*staff.rounds.lock().unwrap(), [vec![Ask::Reserved, Ask::Active, Ask::ActiveQueues]]);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_gets_an_answer_from_before_its_reading() {
        let staff = Arc::new(Staff::default());
        let control = control(&staff);
        let first = answer(&control).await;
        assert!(first.workers.is_empty());
        staff.workers.lock().unwrap().push(("worker@celery.1", "celery", vec!["a"], true));
        let began = now(&control);
        let (one, two) = tokio::join!(answer(&control), answer(&control));
        assert!(one.workers["worker@celery.1"].is_busy() && two.workers.len() == 1);
        assert!(now(&control) - began >= Duration::from_millis(990), "rounds are a second apart");
        // The second round, and what the new worker serves.
        assert_eq!(staff.rounds.lock().unwrap().len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_silent_hides_what_is_in_progress_in_its_own_queues_only() {
        let staff = Arc::new(Staff::default());
        *staff.workers.lock().unwrap() = vec![("one@a", "mail", vec!["a"], true), ("two@b", "video", vec!["b"], true)];
        let control = control(&staff);
        let all = answer(&control).await;
        let (mail, video) = (|name: &str| name == "mail", |name: &str| name == "video");
        assert_eq!((all.known(&mail), all.known(&video)), (Known::All, Known::All));
        assert_eq!(all.serving(&mail).map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["one@a"]);
        staff.workers.lock().unwrap()[1].3 = false;
        let some = answer(&control).await;
        assert_eq!(some.known(&mail), Known::All);
        let workers = vec!["two@b".to_owned()];
        assert_eq!(some.known(&video), Known::But { workers, queues: BTreeSet::from(["video".to_owned()]) });
        assert!(some.missed_are_silent());
        // A third one that was never heard may serve anything.
        staff.workers.lock().unwrap().push(("three@c", "mail", vec![], false));
        assert_eq!(answer(&control).await.known(&mail), Known::Nothing);
        // One that is gone is nobody's silence.
        *staff.workers.lock().unwrap() = vec![("one@a", "mail", vec!["a"], true)];
        assert_eq!(answer(&control).await.known(&video), Known::All);
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_look_is_had_however_long_a_worker_has_been_silent() {
        let staff = Arc::new(Staff::default());
        *staff.workers.lock().unwrap() = vec![("one@a", "mail", vec![], true), ("two@b", "video", vec![], false)];
        let control = control(&staff);
        for _ in 0..2 * ROUNDS_BEFORE_RARER {
            tokio::time::advance(LONGEST_BETWEEN_ROUNDS).await;
            answer(&control).await;
        }
        let began = now(&control);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(control.answer(now(&control)).await, Ok(None));
        let again = control.answer_again(now(&control)).await.unwrap().unwrap();
        assert!(again.workers.contains_key("one@a"));
        assert!(now(&control) - began >= Duration::from_millis(990), "rounds are a second apart all the same");
    }

    #[test]
    fn silence_makes_rounds_rarer_up_to_a_limit() {
        let pause = |silent_in_a_row| Rounds { last: None, silent_in_a_row }.pause().as_secs();
        assert_eq!([0, 1, 8, 16, 24, 32, 1000].map(pause), [1, 1, 2, 4, 8, 10, 10]);
    }
}
