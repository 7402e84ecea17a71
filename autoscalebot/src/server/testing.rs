//! A site for tests: one real bot on an imaginary platform, and a clock that may be ahead of the bot's.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use autoscalebot_core::moment::Moment;
use autoscalebot_engine::{
    board::Board,
    build::Manner,
    clock::{Clock, SystemClock},
    config::load,
    environment::Environment,
    fleet::Fleet,
    host::Host,
    shared::Shared,
    telemetry::metrics::Sources,
};
use testkit::program::Folder;
use tokio_util::sync::CancellationToken;

use super::{
    access::Access,
    listen::Listen,
    site::{Parts, Site},
};

struct Ahead(Arc<dyn Clock>, Duration);

#[async_trait]
impl Clock for Ahead {
    fn now(&self) -> Moment {
        let now = self.0.now();
        Moment { since_start: now.since_start + self.1, ..now }
    }

    async fn sleep_until(&self, since_start: Duration) {
        self.0.sleep_until(since_start).await;
    }
}

/// A site with the process `web`, whose clock is ahead by so much; and the fleet, which ends when dropped.
pub async fn site(ahead: Duration) -> (Arc<Site>, Fleet) {
    let folder = Folder::new();
    let text =
        "[web]\nscaling = \"DryRun\"\n[web.measurement]\nbackend = \"Command\"\nsettings = { command = \"echo 1\" }\n";
    let path = folder.write("autoscale_settings.toml", text);
    let host = Host::from(Environment::default());
    let config = load::load(path.to_str(), folder.path(), &host).map_err(|errors| errors.lines()).unwrap().config;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let board = Board::new(host.clone());
    let manner = Manner { watchers: vec![board.clone()], ..Manner::default() };
    let shared = Shared::new(clock.clone(), host);
    let metrics = Sources::new(board.clone(), None, shared.clone());
    let fleet = Fleet::start(config, shared, manner).await.map_err(|_| "no fleet").unwrap();
    let parts = Parts {
        board,
        commander: fleet.commander(),
        store: None,
        started: clock.now(),
        clock: Arc::new(Ahead(clock, ahead)),
        metrics,
    };
    let listen = Listen::find("0", false, &Environment::default()).unwrap();
    (Site::new(parts, Access::new(&listen), CancellationToken::new()), fleet)
}
