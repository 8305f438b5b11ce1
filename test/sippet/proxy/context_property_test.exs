defmodule Sippet.Proxy.ContextPropertyTest do
  # What holds of a response context whatever its branches do, in whatever order: random histories, each by its seed.
  use ExUnit.Case, async: true

  alias Sippet.{Message, Test}
  alias Sippet.Proxy.{Context, Target}
  alias Sippet.Transactions.Client.Key

  @histories 3_000

  @finals [200, 202, 302, 401, 404, 407, 408, 480, 486, 487, 500, 503, 600, 603]

  test "an INVITE: one final response other than 2xx at most and none after a 2xx, each branch is cancelled once at most" do
    for seed <- 1..@histories do
      history = run("INVITE", seed)
      finals = for {:up, status_code} when status_code >= 200 <- history.log, do: status_code
      {successes, failures} = Enum.split_with(finals, &(&1 < 300))

      assert length(failures) <= 1, describe(history)
      # A 2xx may come after a failure (§16.7, step 5), but no failure after a 2xx.
      assert successes == [] or failures == [] or hd(finals) in failures, describe(history)
      assert finals != [], describe(history)

      cancels = for {:cancel, key} <- history.log, do: key
      assert cancels == Enum.uniq(cancels), describe(history)
      assert Enum.all?(cancels, &(&1 in history.keys)), describe(history)

      # No branch begins, and nothing provisional goes up, once the client has its answer or has given up.
      over = Enum.drop_while(history.log, &(not over?(&1)))
      assert for({:open, _} = opened <- over, do: opened) == [], describe(history)
      answered = Enum.drop_while(history.log, &(not match?({:up, code} when code >= 200, &1)))
      assert for({:up, code} = up when code < 200 <- answered, do: up) == [], describe(history)

      # When a 2xx or 6xx comes, or the client gives up, whoever has not ended is cancelled.
      assert Enum.all?(history.abandoned, &(&1 in cancels)), describe(history)
      assert history.most_open <= history.breadth, describe(history)
    end
  end

  test "any other request: one final response at most, none only if all was silence, and no CANCEL" do
    for seed <- 1..@histories do
      history = run("MESSAGE", seed)
      finals = for {:up, status_code} when status_code >= 200 <- history.log, do: status_code
      assert length(finals) <= 1, describe(history)
      assert 408 not in finals, describe(history)

      assert finals != [] or Enum.all?(history.outcomes, &(&1 in [408, :timeout])),
             describe(history)

      assert for({:cancel, _} = cancel <- history.log, do: cancel) == [], describe(history)
      assert history.most_open <= history.breadth, describe(history)
    end
  end

  test "the same history gives the same actions" do
    for seed <- 1..50, do: assert(codes(run("INVITE", seed)) == codes(run("INVITE", seed)))
  end

  defp codes(history), do: for({:up, status_code} <- history.log, do: status_code)

  defp over?({:up, status_code}), do: status_code >= 200
  defp over?(:client_cancels), do: true
  defp over?(_event), do: false

  defp describe(history),
    do: "seed #{history.seed}: #{inspect(Enum.reverse(history.trace), limit: :infinity)}"

  # open: branches that may still say something, in the order of their beginning.
  defp run(method, seed) do
    :rand.seed(:exsss, {seed, 16, 3261})
    breadth = Enum.random([1, 2, 3, 60])

    targets =
      for index <- 1..Enum.random(1..5),
          do: Target.new("sip:bob@h#{index}", q: Enum.random([1.0, 0.5, 0.1]))

    request = Test.Proxy.request(method, "Max-Breadth: #{breadth}")
    {context, actions} = Context.new(Test.Proxy.new(), request, targets)

    history = %{
      seed: seed,
      method: method,
      breadth: breadth,
      context: context,
      open: [],
      ended: [],
      keys: [],
      log: [],
      trace: [],
      outcomes: [],
      abandoned: [],
      most_open: 0
    }

    history |> note(actions) |> steps(60)
  end

  defp steps(history, 0), do: finish(history)

  defp steps(history, left) do
    if Context.done?(history.context) and history.open == [],
      do: %{history | log: Enum.reverse(history.log)},
      else: history |> step(:rand.uniform(20)) |> steps(left - 1)
  end

  # Whoever is still open ends, as timers see to.
  defp finish(%{open: []} = history), do: %{history | log: Enum.reverse(history.log)}

  defp finish(%{open: [request | _]} = history) do
    assert not Context.done?(history.context)
    history |> fail(request, :timeout) |> finish()
  end

  defp step(history, 1) do
    history = %{
      history
      | log: [:client_cancels | history.log],
        trace: [:client_cancels | history.trace]
    }

    history = if history.context.final == nil, do: abandon(history), else: history
    apply_to(history, Context.handle_cancel(history.context))
  end

  defp step(%{ended: [_ | _] = ended} = history, 2) do
    # What a branch says that has ended: a further 2xx, or a repetition.
    respond(history, Enum.random(ended), Enum.random([180, 200, 486]))
  end

  defp step(%{open: [_ | _] = open} = history, 3) do
    request = Enum.random(open)
    trace = {:timer_c, request.start_line.request_uri.host}
    {context, actions} = Context.handle_timer_c(history.context, Key.new(request))
    # Without a provisional response the branch has ended by it.
    ended? = match?(%{state: :completed}, context.branches[Key.new(request)])
    history = %{history | trace: [trace | history.trace]}
    history = if ended?, do: ended(history, request, :timeout), else: history
    apply_to(history, {context, actions})
  end

  defp step(%{open: [_ | _] = open} = history, 4),
    do: fail(history, Enum.random(open), Enum.random([:timeout, :econnrefused]))

  defp step(%{open: [_ | _] = open} = history, dice) when dice <= 10,
    do: respond(history, Enum.random(open), Enum.random([100, 180, 183]))

  defp step(%{open: [_ | _] = open} = history, _dice),
    do: respond(history, Enum.random(open), Enum.random(@finals))

  defp step(history, _dice), do: history

  defp respond(history, request, status_code) do
    host = request.start_line.request_uri.host
    history = %{history | trace: [{host, status_code} | history.trace]}
    open? = request in history.open

    history =
      if status_code >= 200 and open?, do: ended(history, request, status_code), else: history

    history =
      if history.context.final == nil and open? and
           (status_code in 200..299 or status_code >= 600),
         do: abandon(history),
         else: history

    apply_to(
      history,
      Context.handle_response(history.context, Test.Proxy.answer(request, status_code))
    )
  end

  defp fail(history, request, reason) do
    trace = {request.start_line.request_uri.host, reason}

    %{history | trace: [trace | history.trace]}
    |> ended(request, reason)
    |> apply_to(Context.handle_error(history.context, Key.new(request), reason))
  end

  defp ended(history, request, outcome) do
    %{
      history
      | open: List.delete(history.open, request),
        ended: [request | history.ended],
        outcomes: [outcome | history.outcomes]
    }
  end

  # Those that are open now must be cancelled, if they can be.
  defp abandon(%{method: "INVITE"} = history),
    do: %{history | abandoned: Enum.map(history.open, &Key.new/1) ++ history.abandoned}

  defp abandon(history), do: history

  defp apply_to(history, {context, actions}), do: note(%{history | context: context}, actions)

  defp note(history, actions) do
    Enum.reduce(actions, history, fn
      {:send_request, request}, history ->
        open = history.open ++ [request]

        %{
          history
          | open: open,
            keys: [Key.new(request) | history.keys],
            log: [{:open, Key.new(request)} | history.log],
            most_open: max(history.most_open, length(open))
        }

      {:send_response, %Message{} = response}, history ->
        assert response.headers.via == history.context.request.headers.via
        %{history | log: [{:up, response.start_line.status_code} | history.log]}

      {:cancel, key}, history ->
        %{history | log: [{:cancel, key} | history.log]}

      {timer, _key, _ms}, history when timer == :start_timer_c ->
        history

      {:stop_timer_c, _key}, history ->
        history
    end)
  end
end
