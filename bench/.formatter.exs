[inputs: ["mix.exs", "*.exs", "lib/**/*.ex", "test/**/*.exs"]]
