//! The program as users run it, built with its fault points.

fn main() -> std::process::ExitCode {
    tidegate::main()
}
