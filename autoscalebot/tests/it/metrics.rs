//! The program's metrics as an operator has them: behind a token, on a real Prometheus, and none for others.

use std::{path::Path, time::Duration};

use autoscalebot_engine::http::{Connecting, HttpClients};
use testkit::{
    program::{Folder, Program},
    services::{Prometheus, free_ports, promtool},
};

use crate::autoscalebot;

const PATIENCE: Duration = Duration::from_secs(30);
const TOKEN: &str = "only-for-those-who-look-0123456789";

const SETTINGS: &str = r#"
[web.measurement]
backend = "Command"
settings = { command = "echo 42", measurement_interval_in_seconds = 0.5 }
[web.decision]
settings = { max_measurement_value = 40, min_measurement_value = 1 }
[web.scaling]
backend = "DryRun"
"#;

async fn start(folder: &Folder, port: u16) -> Program {
    folder.write("autoscale_settings.toml", SETTINGS);
    let mut command = autoscalebot();
    command.current_dir(folder.path()).args(["run", "--settings", "autoscale_settings"]);
    command.args(["--listen", &format!("127.0.0.1:{port}")]).env("AUTOSCALEBOT_READ_TOKEN", TOKEN);
    let program = Program::start(&mut command);
    assert!(program.until(PATIENCE, |output| output.contains("started")).await, "{}", program.output());
    program
}

fn client() -> reqwest::Client {
    HttpClients::default().get(Connecting { reuse: true, follow_redirects: false })
}

#[tokio::test]
async fn whoever_has_the_token_reads_metrics_and_nobody_else_does() {
    let (folder, [port]) = (Folder::new(), free_ports());
    let program = start(&folder, port).await;
    let url = format!("http://127.0.0.1:{port}/metrics");
    let client = client();
    assert_eq!(client.get(&url).send().await.unwrap().status(), 401);
    assert_eq!(client.get(&url).bearer_auth("wrong").send().await.unwrap().status(), 401);
    let answer = client.get(&url).bearer_auth(TOKEN).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let page = answer.text().await.unwrap();
    assert_eq!(promtool(&["check", "metrics"], &page), Ok(String::new()), "{page}");
    assert!(page.contains("\nautoscalebot_store_up 1"), "{page}\n{}", program.output());
    assert!(!page.contains(TOKEN));
}

#[tokio::test]
async fn prometheus_scrapes_the_program_with_its_token() {
    let (folder, [port]) = (Folder::new(), free_ports());
    let program = start(&folder, port).await;
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/monitoring/prometheus-alerts.yml");
    let prometheus = Prometheus::start(&format!("127.0.0.1:{port}"), Some(TOKEN), &rules).await;
    let url = format!("{}/query?query=autoscalebot_reading", prometheus.api());
    let (client, mut answer) = (client(), serde_json::Value::Null);
    for _ in 0..PATIENCE.as_millis() / 200 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let text = client.get(&url).send().await.unwrap().text().await.unwrap();
        answer = serde_json::from_str(&text).unwrap();
        if answer["data"]["result"][0]["value"][1] == "42" {
            break;
        }
    }
    let found = &answer["data"]["result"][0];
    assert_eq!(found["value"][1], "42", "{answer} {}", program.output());
    assert_eq!((&found["metric"]["process"], &found["metric"]["backend"]), (&"web".into(), &"Command".into()));
}
