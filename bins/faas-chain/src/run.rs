//! One function for each verb.

use crate::cli::{Check, Cli, Drawing, Graph, Plan, Run, Test, Verb};
use faas_common::chain::{Chain, Deliver, ExitAction, draw, naming, notes, plan};
use faas_common::cli::log::Log;
use faas_common::cli::shared::Delivery;
use faas_common::cli::table::{self, Listing};
use faas_common::error::Failure;
use faas_common::event::Event;
use faas_common::exit::Exit;
use faas_common::queue::pipe::PipeConnection;
use faas_common::queue::{Connection, QueueId, Settlement, mqueue};
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

fn print(text: &str) -> Outcome {
    table::print(text).map(|()| Exit::Done).map_err(|failure| vec![failure])
}

fn check(flags: &Check) -> Outcome {
    let chain = join::load_chain(&flags.file, "check")?;
    let notes = notes(&chain, &mqueue::CAPABILITIES, mqueue::capacity_max());
    if flags.output == Listing::Json {
        let notes: Vec<_> = notes
            .iter()
            .map(|note| serde_json::json!({ "object": note.object, "what": note.what }))
            .collect();
        let answer = serde_json::json!({
            "chain": chain.name,
            "functions": chain.functions.len(),
            "rules": chain.rules.len(),
            "digest": chain.digest,
            "notes": notes,
        });
        return print(&format!("{answer}\n"));
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
    text += &delivery(&chain);
    for note in notes {
        text += &format!("note: {}: {}\n", note.object, note.what);
    }
    print(&text)
}

/// What a message may suffer on its way, and where.
fn delivery(chain: &Chain) -> String {
    let mq = &mqueue::CAPABILITIES;
    let once = |index: &usize| chain.deliver_to(*index) == Deliver::AtMostOnce;
    let losing: Vec<&str> = (0..chain.functions.len())
        .filter(once)
        .map(|index| chain.functions[index].name.as_str())
        .collect();
    let killed = match (losing.len(), losing.len() == chain.functions.len()) {
        (0, _) => format!("{} (every hop: {})", mq.process_killed.words(), mq.scheme),
        (_, true) => "may lose (every hop: at-most-once)".to_owned(),
        _ => format!(
            "may lose (at-most-once: {}), {} (the others: {})",
            losing.join(", "),
            mq.process_killed.words(),
            mq.scheme
        ),
    };
    let lost = mq.host_lost.words();
    format!(
        "delivery: a process killed: {killed}; the host lost: {lost} (every hop: {})\n",
        mq.scheme
    )
}

fn plan_of(flags: &Plan) -> Outcome {
    let chain = join::load_chain(&flags.file, "plan")?;
    if let Some(run) = &flags.run {
        join::check_name(run).map_err(|failure| vec![failure])?;
    }
    let run =
        flags.run.clone().unwrap_or_else(|| naming::new_run(&chain.name, clock::random_u64()));
    print(&plan::shell(&chain, &flags.file, &run, flags.events.as_deref()))
}

fn graph(flags: &Graph) -> Outcome {
    let chain = faas_common::chain::load(&flags.file).map_err(|error| error.failures("draw"))?;
    print(&match flags.output {
        Drawing::Mermaid => draw::mermaid(&chain),
        Drawing::Dot => draw::dot(&chain),
    })
}

fn test(flags: &Test) -> Outcome {
    let chain = join::load_chain(&flags.file, "test")?;
    let one = |failure| vec![failure];
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
    Delivery::check(flags.deliver).map_err(|failure| vec![failure])?;
    runner::run(&runner::Options {
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
