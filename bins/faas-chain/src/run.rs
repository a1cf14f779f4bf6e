//! One function for each verb.

use crate::cli::{Check, Cli, Drawing, Graph, Plan, Run, Test, Verb};
use faas_common::chain::delivery::{self, Hop};
use faas_common::chain::{
    Chain, ExitAction, Note, Placement, check_deliver, draw, naming, notes, plan,
};
use faas_common::cli::log::Log;
use faas_common::cli::shared::{Delivery, via};
use faas_common::cli::table::{self, Listing};
use faas_common::error::Failure;
use faas_common::event::Event;
use faas_common::exit::Exit;
use faas_common::queue::pipe::PipeConnection;
use faas_common::queue::{Connection, Flaws, QueueId, Settlement, mqueue};
use faas_common::runner::{self, join, trial};
use faas_common::{clock, units};

type Outcome = Result<Exit, Vec<Failure>>;

pub fn run(cli: Cli) -> Outcome {
    match cli.verb {
        Some(Verb::Check(flags)) => check(&flags),
        Some(Verb::Plan(flags)) => plan_of(&flags),
        Some(Verb::Graph(flags)) => graph(&flags),
        Some(Verb::Test(flags)) => test(&flags),
        Some(Verb::Run(flags)) => run_chain(flags),
        None => Ok(Exit::Usage),
    }
}

fn one(failure: Failure) -> Vec<Failure> {
    vec![failure]
}

fn print(text: &str) -> Outcome {
    table::print(text).map(|()| Exit::Done).map_err(|failure| vec![failure])
}

fn check(flags: &Check) -> Outcome {
    let via = via(flags.via.as_deref()).map_err(one)?;
    let chain = join::load_chain(&flags.file, "check", via.as_ref())?;
    let placement = Placement::of(&chain, "run", via.as_ref());
    let deliver = flags.deliver.map(Delivery::deliver);
    if let Some(deliver) = deliver {
        check_deliver(&chain, &placement, deliver).map_err(one)?;
    }
    let notes = notes(&chain, &placement, mqueue::capacity_max());
    let hops = delivery::hops(&chain, &placement, deliver);
    if flags.output == Listing::Json {
        return print(&format!("{}\n", as_json(&chain, &notes, &hops)));
    }
    let mut text = format!(
        "{}: {} functions, {} rules, starts at {}\n",
        chain.name,
        chain.functions.len(),
        chain.rules.len(),
        chain
            .start
            .iter()
            .map(|&start| chain.functions[start].name.as_str())
            .collect::<Vec<_>>()
            .join(", "),
    );
    text += &summary(&chain, &hops);
    if !placement.is_uniform() {
        text = hops.iter().fold(text, |text, hop| text + &line(&chain, hop));
    }
    for note in notes {
        text += &format!("note: {}: {}\n", note.object, note.what);
    }
    print(&text)
}

fn as_json(chain: &Chain, notes: &[Note], hops: &[Hop]) -> serde_json::Value {
    let notes: Vec<_> = notes
        .iter()
        .map(|note| serde_json::json!({ "object": note.object, "what": note.what }))
        .collect();
    let flaws = |flaws: Flaws| serde_json::json!({ "may_lose": flaws.may_lose, "may_duplicate": flaws.may_duplicate });
    let hops: Vec<_> = hops
        .iter()
        .map(|hop| {
            serde_json::json!({
                "hop": hop.describe(chain),
                "process_killed": flaws(hop.killed),
                "host_lost": flaws(hop.lost),
            })
        })
        .collect();
    serde_json::json!({
        "chain": chain.name,
        "functions": chain.functions.len(),
        "rules": chain.rules.len(),
        "digest": chain.digest,
        "hops": hops,
        "notes": notes,
    })
}

/// What a message may suffer on some path, and where.
fn summary(chain: &Chain, hops: &[Hop]) -> String {
    let told = |of: fn(&Hop) -> Flaws| {
        let (worst, blamed) = delivery::worst(hops, of);
        let all_alike = hops.iter().all(|hop| of(hop) == worst);
        let place = match (all_alike, hops.first()) {
            (true, Some(first)) if hops.iter().all(|hop| hop.over == first.over) => {
                format!("every hop: {}", first.over.0)
            }
            (true, _) => "every hop".to_owned(),
            _ => blamed.iter().map(|hop| hop.describe(chain)).collect::<Vec<_>>().join("; "),
        };
        format!("{} ({place})", worst.words())
    };
    format!(
        "delivery: a process killed: {}; the host lost: {}\n",
        told(|hop| hop.killed),
        told(|hop| hop.lost)
    )
}

fn line(chain: &Chain, hop: &Hop) -> String {
    format!(
        "  {}: a process killed: {}; the host lost: {}\n",
        hop.describe(chain),
        hop.killed.words(),
        hop.lost.words()
    )
}

fn plan_of(flags: &Plan) -> Outcome {
    let via = via(flags.via.as_deref()).map_err(one)?;
    let chain = join::load_chain(&flags.file, "plan", via.as_ref())?;
    if let Some(run) = &flags.run {
        join::check_name(run).map_err(|failure| vec![failure])?;
    }
    let run =
        flags.run.clone().unwrap_or_else(|| naming::new_run(&chain.name, clock::random_u64()));
    let placement = Placement::of(&chain, &run, via.as_ref());
    print(&plan::shell(&chain, &flags.file, &placement, flags.events.as_deref()))
}

fn graph(flags: &Graph) -> Outcome {
    let chain = faas_common::chain::load(&flags.file).map_err(|error| error.failures("draw"))?;
    print(&match flags.output {
        Drawing::Mermaid => draw::mermaid(&chain),
        Drawing::Dot => draw::dot(&chain),
    })
}

fn test(flags: &Test) -> Outcome {
    let chain = join::load_chain(&flags.file, "test", None)?;
    let function = join::functions(&chain, std::slice::from_ref(&flags.function)).map_err(one)?[0];
    let mut pipe = flags.pipe.connection("/faas-chain/stdin", true);
    let mut log = Log::new("faas-chain", flags.quiet);
    let mut exit = Exit::Done;
    for read in trial::read_all(&flags.pipe.source("/faas-chain/stdin")).map_err(one)? {
        let outcome = match read {
            Ok(event) => try_one(&chain, function, &event, &mut pipe, &mut log).map_err(one)?,
            Err(failure) => {
                log.failure(&failure);
                Exit::SomeFailed
            }
        };
        exit = exit.worst(outcome);
    }
    log.flush();
    Ok(exit)
}

fn try_one(
    chain: &Chain,
    function: usize,
    event: &Event,
    pipe: &mut PipeConnection,
    log: &mut Log,
) -> Result<Exit, Failure> {
    let trial = trial::trial(chain, function, event, log)?;
    let name = &chain.functions[function].name;
    let means = match (trial.action, &trial.fault) {
        (_, Some(fault)) => format!("dead letter: {fault}"),
        (ExitAction::Ok, None) => format!("{} outputs", trial.outputs.len()),
        (ExitAction::Drop, None) => "the branch ends quietly".to_owned(),
        (ExitAction::Retry, None) => "it would be tried again".to_owned(),
        (ExitAction::Dead, None) => "the input would be a dead letter".to_owned(),
    };
    log.line(&format!("{name}: {} after {}: {means}", trial.end, units::show_duration(trial.took)));
    for (mut output, branches) in trial.outputs {
        let to: Vec<String> =
            branches.iter().map(|branch| trial::describe(chain, branch)).collect();
        log.line(&format!("{name} -> {}", to.join(", ")));
        output.note("faasto", to.join(", "));
        output.id.clone_from(&event.id);
        let outputs = vec![faas_common::queue::Outgoing { queue: QueueId(1), event: output }];
        pipe.settle(&mut Settlement { outputs, ..Settlement::default() })
            .and_then(|_| pipe.write_out())
            .map_err(|error| error.failure("print", "an output"))?;
    }
    let good = matches!(trial.action, ExitAction::Ok | ExitAction::Drop) && trial.fault.is_none();
    Ok(if good { Exit::Done } else { Exit::SomeFailed })
}

fn run_chain(flags: Run) -> Outcome {
    let via = via(flags.via.as_deref()).map_err(one)?;
    runner::run(&runner::Options {
        via,
        resume: flags.resume,
        redrive: flags.redrive,
        deliver: flags.deliver,
        max_in_flight: flags.max_in_flight,
        chain: flags.file,
        run: flags.run,
        invokers: flags.invokers.map(|count| count as usize),
        dead: flags.dead,
        pipe: flags.pipe,
        quiet: flags.quiet,
        verbose: flags.verbose,
    })
}
