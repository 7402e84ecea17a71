//! One app, and how the API shows it and what belongs to it.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    clock::api_time,
    dynos::Dyno,
    formation::Process,
    identity::{id_of, new_id},
    log::{Line, Log, RouterLogFaults},
    setup::{AppSetup, Generation},
    sizes,
};

/// One released version.
#[derive(Debug, Clone)]
pub(crate) struct Release {
    id: String,
    pub(crate) version: u32,
    description: String,
    created_at: Timestamp,
}

/// One app.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) generation: Generation,
    pub(crate) maintenance: bool,
    pub(crate) processes: Vec<Process>,
    /// In the order of their start, which for Cedar is that of their numbers.
    pub(crate) dynos: Vec<Dyno>,
    /// Told to stop, not gone yet.
    pub(crate) stopping: Vec<Dyno>,
    /// Process types whose dynos never bind their port.
    pub(crate) cannot_boot: BTreeSet<String>,
    pub(crate) releases: Vec<Release>,
    pub(crate) preboot_enabled: bool,
    pub(crate) preboot_in_progress: bool,
    pub(crate) log: Log,
    pub(crate) router_log_faults: RouterLogFaults,
    /// A router line that waits for the next one to overtake it.
    pub(crate) held_line: Option<Line>,
    /// Requests in the router's hands, for H11.
    pub(crate) in_flight: usize,
    pub(crate) upstream: Option<String>,
    /// What a request costs when the router answers by itself.
    pub(crate) service_time: Duration,
    pub(crate) web_url: String,
    created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

impl App {
    /// The app as it was set up, without dynos.
    pub(crate) fn new(setup: &AppSetup, now: Timestamp) -> Self {
        let time = api_time(now);
        let processes = setup.processes.iter().map(|(name, quantity, size)| Process {
            id: id_of("formation", &format!("{}/{name}", setup.name)),
            name: name.clone(),
            command: format!("bin/{name}"),
            quantity: *quantity,
            size: sizes::find(size).map_or_else(|| size.clone(), |size| size.name.to_owned()),
            created_at: time.clone(),
            updated_at: time.clone(),
        });
        let mut app = Self {
            id: id_of("app", &setup.name),
            name: setup.name.clone(),
            generation: setup.generation,
            maintenance: false,
            processes: processes.collect(),
            dynos: Vec::new(),
            stopping: Vec::new(),
            cannot_boot: BTreeSet::new(),
            releases: Vec::new(),
            preboot_enabled: false,
            preboot_in_progress: false,
            log: Log::default(),
            router_log_faults: RouterLogFaults::default(),
            held_line: None,
            in_flight: 0,
            upstream: setup.upstream.clone(),
            service_time: Duration::from_millis(5),
            web_url: String::new(),
            created_at: now,
            updated_at: now,
        };
        for description in ["Initial release", "Enable Logplex", "Deploy 1f2e3d4c"] {
            app.add_release(description, now);
        }
        app
    }

    /// Notes another release; restarts nothing.
    pub(crate) fn add_release(&mut self, description: &str, now: Timestamp) {
        let version = self.current_release() + 1;
        self.releases.push(Release { id: new_id(), version, description: description.to_owned(), created_at: now });
    }

    /// The version that runs.
    pub(crate) fn current_release(&self) -> u32 {
        self.releases.last().map_or(0, |release| release.version)
    }

    /// How many dynos this process type should have.
    pub(crate) fn quantity(&self, process: &str) -> Option<u32> {
        self.processes.iter().find(|candidate| candidate.name == process).map(|process| process.quantity)
    }

    /// The reference that other objects carry.
    pub(crate) fn reference(&self) -> Value {
        json!({ "id": self.id, "name": self.name })
    }

    /// As `GET /apps/{app}` shows it.
    pub(crate) fn json(&self, email: &str) -> Value {
        let (stack, region) = ("heroku-24", "us");
        json!({
            "acm": false,
            "archived_at": null,
            "build_stack": { "id": id_of("stack", stack), "name": stack },
            "buildpack_provided_description": "Python",
            "created_at": api_time(self.created_at),
            "generation": self.generation.json(),
            "git_url": format!("https://git.heroku.com/{}.git", self.name),
            "id": self.id,
            "internal_routing": false,
            "maintenance": self.maintenance,
            "name": self.name,
            "organization": null,
            "owner": { "email": email, "id": id_of("user", email) },
            "process_tier": self.process_tier(),
            "region": { "id": id_of("region", region), "name": region },
            "released_at": api_time(self.releases.last().map_or(self.created_at, |release| release.created_at)),
            "repo_size": 0,
            "slug_size": 0,
            "space": null,
            "stack": { "id": id_of("stack", stack), "name": stack },
            "team": null,
            "updated_at": api_time(self.updated_at),
            "web_url": self.web_url,
        })
    }

    fn process_tier(&self) -> String {
        let size = self.processes.first().and_then(|process| sizes::find(&process.size));
        size.map_or_else(|| "production".to_owned(), |size| size.tier.group().to_lowercase())
    }

    /// As `GET /apps/{app}/formation/{type}` shows it.
    pub(crate) fn process_json(&self, process: &Process) -> Value {
        json!({
            "app": self.reference(),
            "command": process.command,
            "created_at": process.created_at,
            "dyno_size": { "id": sizes::find(&process.size).map(sizes::DynoSize::id), "name": process.size },
            "id": process.id,
            "quantity": process.quantity,
            "size": process.size,
            "type": process.name,
            "updated_at": process.updated_at,
        })
    }

    /// As `GET /apps/{app}/releases/{version}` shows it.
    pub(crate) fn release_json(&self, release: &Release, email: &str) -> Value {
        json!({
            "addon_plan_names": [],
            "app": self.reference(),
            "created_at": api_time(release.created_at),
            "current": release.version == self.current_release(),
            "description": release.description,
            "eligible_for_rollback": true,
            "id": release.id,
            "oci_image": null,
            "output_stream_url": null,
            "slug": { "id": id_of("slug", &release.id) },
            "status": "succeeded",
            "updated_at": api_time(release.created_at),
            "user": { "email": email, "id": id_of("user", email) },
            "version": release.version,
        })
    }

    /// The release of this id, version (`3` or `v3`), or null.
    pub(crate) fn find_release(&self, id_or_version: &str) -> Option<&Release> {
        let version = id_or_version.strip_prefix('v').unwrap_or(id_or_version).parse::<u32>().ok();
        self.releases.iter().find(|release| release.id == id_or_version || Some(release.version) == version)
    }

    /// As `GET /apps/{app}/features/preboot` shows it.
    pub(crate) fn preboot_json(&self) -> Value {
        json!({
            "created_at": api_time(self.created_at),
            "description": "Start the new web dynos before the old ones stop.",
            "display_name": "Preboot",
            "doc_url": "https://devcenter.heroku.com/articles/preboot",
            "enabled": self.preboot_enabled,
            "feedback_email": null,
            "id": id_of("feature", "preboot"),
            "name": "preboot",
            "state": "general",
            "updated_at": api_time(self.updated_at),
        })
    }
}
