//! `oc-agent`.

fn main() -> std::process::ExitCode {
    oc_agent::main()
}
