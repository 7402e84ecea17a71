//! The fake Heroku as a program, for clients that are not tests of ours.
//!
//! Its first line is the address of the API, its second that of the app's router; then comes a line per request. It ends
//! on SIGINT or SIGTERM. `/_fake/…` calls (see `testkit::fake_heroku`) plan trouble and show what was asked.

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use clap::{Parser, ValueEnum};
use testkit::fake_heroku::{FakeHeroku, Generation, Recorded, RouterGeneration, Setup, Timings};

/// A Heroku that runs on this machine.
#[derive(Parser)]
#[command(name = "fake-heroku")]
struct Arguments {
    /// Where the API listens.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where the router before the app listens.
    #[arg(long, default_value = "127.0.0.1:0")]
    router_listen: SocketAddr,
    /// The app's name.
    #[arg(long, default_value = "dancing-forest-1234")]
    app: String,
    /// The token that opens the API.
    #[arg(long, default_value = "test-token")]
    token: String,
    /// Process types with quantity and size.
    #[arg(long, value_delimiter = ',', value_parser = process, default_value = "web=1:Standard-1X,celery=1:Standard-1X")]
    formation: Vec<(String, u32, String)>,
    /// The platform.
    #[arg(long, value_enum, default_value = "cedar")]
    generation: GenerationArgument,
    /// How the router writes its lines.
    #[arg(long, value_enum, default_value = "legacy")]
    router: RouterArgument,
    /// The app behind the router (`http://host:port`); without it the router answers by itself.
    #[arg(long, alias = "upstream")]
    web_url: Option<String>,
    /// How long a dyno takes to come up, in seconds.
    #[arg(long, default_value_t = 5.0)]
    dyno_start_seconds: f64,
    /// How long a dyno takes to end, in seconds.
    #[arg(long, default_value_t = 2.0)]
    dyno_stop_seconds: f64,
    /// The router's patience with the app (H12), in seconds.
    #[arg(long, default_value_t = 30.0)]
    request_timeout_seconds: f64,
    /// How many of the fake's seconds pass in a real one.
    #[arg(long, default_value_t = 1.0)]
    time_scale: f64,
    /// Most rows in one answer.
    #[arg(long, default_value_t = 1000)]
    page_size: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum GenerationArgument {
    Cedar,
    Fir,
}

#[derive(Clone, Copy, ValueEnum)]
enum RouterArgument {
    Legacy,
    Two,
}

/// Reads `web=1:Standard-1X`; the size may be left out.
fn process(text: &str) -> Result<(String, u32, String), String> {
    let (name, rest) = text.split_once('=').ok_or("write it as web=1:Standard-1X")?;
    let (quantity, size) = rest.split_once(':').unwrap_or((rest, "Standard-1X"));
    let quantity = quantity.parse().map_err(|_| format!("{quantity} is no number of dynos"))?;
    Ok((name.to_owned(), quantity, size.to_owned()))
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut setup = Setup::app(&arguments.app)
        .token(&arguments.token)
        .listen(arguments.listen)
        .router_listen(arguments.router_listen)
        .generation(match arguments.generation {
            GenerationArgument::Cedar => Generation::Cedar,
            GenerationArgument::Fir => Generation::Fir,
        })
        .router(match arguments.router {
            RouterArgument::Legacy => RouterGeneration::Legacy,
            RouterArgument::Two => RouterGeneration::Two,
        })
        .timings(Timings {
            dyno_start: seconds(arguments.dyno_start_seconds),
            dyno_stop: seconds(arguments.dyno_stop_seconds),
            request_timeout: seconds(arguments.request_timeout_seconds),
            ..Timings::default()
        })
        .time_scale(arguments.time_scale)
        .page_size(arguments.page_size)
        .on_request(|request| println!("{}", line(request)));
    for (name, quantity, size) in &arguments.formation {
        setup = setup.process(name, *quantity, size);
    }
    if let Some(upstream) = arguments.web_url {
        setup = setup.upstream(upstream);
    }
    let fake = match FakeHeroku::try_start(setup).await {
        Ok(fake) => fake,
        Err(error) => {
            eprintln!("fake-heroku cannot listen: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("{}", fake.url());
    println!("router {}", fake.web_url());
    wait_for_the_end().await;
    fake.stop().await;
    ExitCode::SUCCESS
}

/// Without headers, which hold the token.
fn line(request: &Recorded) -> String {
    let query = if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
    let body = if request.body.is_null() { String::new() } else { format!(" {}", request.body) };
    format!("{} {}{query} {}{body}", request.method, request.path, request.status)
}

async fn wait_for_the_end() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(_) => {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}
