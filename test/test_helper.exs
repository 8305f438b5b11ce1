# Machines may be busy; what waits for a message goes on as soon as it comes.
ExUnit.start(assert_receive_timeout: 2_000)
