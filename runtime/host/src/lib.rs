//! Where agents run: WebAssembly instances with limits, mailboxes and state.
