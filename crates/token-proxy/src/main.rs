//! `oc-token-proxy`.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    oc_service::main::<oc_token_proxy::Config>(oc_token_proxy::run)
}
