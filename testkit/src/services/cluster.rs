//! A Redis Cluster: three masters that share the slots, no replicas.

use std::{process::Command, time::Duration};

use super::{PATIENCE, Redis, ask, on_free_ports};
use crate::program::Folder;

/// A running cluster.
pub struct Cluster {
    /// Its masters.
    pub nodes: Vec<Redis>,
}

impl Cluster {
    /// The slots of each master.
    const SLOTS: [(&'static str, &'static str); 3] = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];

    /// Starts one; the options are those of every master.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn start(options: &[&str]) -> Self {
        let mut nodes = Vec::new();
        for (first, last) in Self::SLOTS {
            let (node, bus) = on_free_ports(async |[port, bus]| {
                let of_cluster = [
                    ["--port".to_owned(), port.to_string()],
                    ["--cluster-enabled".to_owned(), "yes".to_owned()],
                    ["--cluster-port".to_owned(), bus.to_string()],
                    ["--cluster-node-timeout".to_owned(), "5000".to_owned()],
                ];
                Ok((Redis::start_on(port, Folder::new(), &of_cluster.concat(), options, None).await?, bus))
            })
            .await;
            node.tell(&["CLUSTER", "ADDSLOTSRANGE", first, last]).await;
            nodes.push((node, bus));
        }
        for (node, bus) in &nodes[1..] {
            let (port, bus) = (node.port().to_string(), bus.to_string());
            nodes[0].0.tell(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]).await;
        }
        let cluster = Self { nodes: nodes.into_iter().map(|(node, _)| node).collect() };
        cluster.until_complete().await;
        cluster
    }

    /// Its address, by its first master: `redis://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        self.nodes[0].url()
    }

    /// Runs one command with `redis-cli`, on the master that it belongs to; its answer.
    ///
    /// # Panics
    /// When it has no answer or answers with an error.
    pub async fn tell(&self, words: &[&str]) -> String {
        let mut command = Command::new("redis-cli");
        command.args(["-e", "-c", "-p", &self.nodes[0].port().to_string()]).args(words);
        ask(command).await
    }

    /// Waits until every master knows every slot.
    async fn until_complete(&self) {
        const LOOK: Duration = Duration::from_millis(100);
        let mut seen = Vec::new();
        for _ in 0..PATIENCE.as_millis() / LOOK.as_millis() {
            seen.clear();
            for node in &self.nodes {
                seen.push(node.tell(&["CLUSTER", "INFO"]).await);
            }
            let complete = |info: &String| info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3");
            if seen.iter().all(complete) {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
        panic!("the cluster does not become complete: {seen:?}");
    }
}
