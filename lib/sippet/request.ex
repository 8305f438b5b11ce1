defmodule Sippet.Request do
  # Sippet.request/3: a process sends a request and waits. It is woken by a message to an alias and takes what there is from
  # the engine itself, so there is no runner, and nothing is left in its mailbox. The engine watches it: when it dies its
  # INVITE is cancelled.
  @moduledoc false

  alias Sippet.DigestAuth.Retry
  alias Sippet.{Message, Native, Router, Sim, Stack}
  alias Sippet.Transactions.Client

  # A wake-up may be lost with the process that had it in hand; the engine then gives it out again. This is for a stack that
  # was killed, or a shard that was lost: nobody is left to wake anyone.
  @check_ms 5_000

  # A CANCEL that found no room is tried again.
  @retry_ms 500

  # Timer C (§16.6) lets an INVITE ring for three minutes at least.
  @invite_timeout_ms 180_000

  @options [
    :timeout,
    :on_provisional,
    :on_request,
    :credentials,
    :authenticate,
    :max_authentications
  ]

  # deadline: of the monotonic clock, then the request is given up; why: for what this process gave it up.
  @enforce_keys [:stack, :options, :deadline]
  defstruct @enforce_keys ++ [:request, :caller, :address, why: nil]

  @doc "The part of the documentation that belongs to the options."
  @spec docs() :: String.t()
  def docs do
    """
    ## Options

      * `:timeout` - how long it may take in all, retries included, in milliseconds or `:infinity`; default
        `#{@invite_timeout_ms}` for INVITE, `:infinity` for others, which timer F bounds to 64·T1, 32 seconds. An INVITE is then
        cancelled; any other request is no longer waited for, and nobody is told of its end.
      * `:on_provisional` - a function that gets each provisional response, in order, in the calling process; those that
        come while it runs wait, at most 16. If it returns `:cancel` the request is given up as by `:timeout`.
      * `:on_request` - a function that gets each request before it is sent: the given one, and those with credentials.
        The last is the one that a dialog or an ACK is made of, and its key what cancels it.
      * `:credentials` - names and secrets with which challenges are answered, see below.
      * `:authenticate` - a function that answers challenges instead. It gets the request and the 401 or 407 to it, and
        returns `{:ok, request}`, the request with credentials, or `:error` or `{:error, reason}`, which makes that response
        the result. `Sippet.DigestAuth.make_request/4` does such a thing.
      * `:max_authentications` - how often challenges are answered at most; default `3`. A proxy and the server may both
        want credentials, and a nonce may be stale.

    An unknown option raises `ArgumentError`, as a request does that cannot be sent.

    ## Results

      * `{:ok, response}` - the final response, whatever its status code. A 2xx to an INVITE wants an ACK, which the caller
        sends: `Sippet.Dialog.build_ack/3` makes it, `send/2` sends it. To any other final response the stack sends the ACK.
      * `{:error, reason}` - there was none; see `t:request_error/0`.

    An INVITE that is cancelled, by whomever, is still waited for, at most 64·T1 longer. Its 487 then is
    `{:error, :cancelled}`, or `{:error, :timeout}` where it was `:timeout` that cancelled it. Any other final response is
    the result: a 2xx that crossed the CANCEL has to be acknowledged and may be ended by a BYE.

    ## Challenges

    `:credentials` is a list or a map of realms, `[{"biloxi.com", {"bob", "zanzibar"}}]`, or a function that gets a realm and
    returns `{username, secret}`, or anything else where there is none. `:any` instead of a realm is for all that are not
    named. A secret is a `t:Sippet.DigestAuth.secret/0`: a password, or H(A1) as it is stored.

        Sippet.request(:my_stack, register, credentials: [{"biloxi.com", {"bob", "zanzibar"}}])

    A 401 or 407 is then answered for all realms in it for which there are credentials, by the rules of
    `Sippet.DigestAuth.make_request/4`: each realm once, and once more if its nonce was stale. A challenge after that says
    that the credentials are wrong, and is the result, as is one for other realms only.

    With `:credentials` as with `:authenticate` the request is sent again with the next CSeq number and a new branch;
    Call-ID, From and To stay (§22.2, §8.1.3.5). The CSeq of the response tells the number that was sent last: whoever keeps
    count, for a dialog or the next REGISTER, goes on from there. For a dialog that the request belongs to that is
    `%{dialog | local_cseq: elem(response.headers.cseq, 0)}`; one that it makes is made of the last request that
    `:on_request` got.

    ## What comes later

    An INVITE that forks may have more than one 2xx (RFC 3261 §13.2.2.4). The first is the result; those of other forks go
    to the core, with the key of the request: it acknowledges them and sends each a BYE. What has been repeated is not
    delivered again; as soon as the ACK is sent, the stack repeats that too.

    If the calling process dies, or one of the functions raises, an INVITE is cancelled. If it is answered 2xx all the same
    that goes to the core, as above. Other requests go on by themselves, and nobody is told of their end.

    RFC 3261 §8.1.3, §9.1, §17.1, §22.2.
    """
  end

  @doc "The options with their defaults."
  @spec validate_options!(keyword) :: map
  def validate_options!(options) do
    unless Keyword.keyword?(options) do
      raise ArgumentError, "expected options to be a keyword list, got: #{inspect(options)}"
    end

    for {key, _value} <- options, key not in @options do
      raise ArgumentError, "unknown option #{inspect(key)}, known are: #{inspect(@options)}"
    end

    retry = options |> Keyword.get(:credentials) |> retry!()

    for {key, value} <- options, key != :credentials, not good?(key, value) do
      raise ArgumentError, "expected #{inspect(key)} to be #{kind(key)}, got: #{inspect(value)}"
    end

    if retry != nil and options[:authenticate] != nil do
      raise ArgumentError, "expected either :credentials or :authenticate, got both"
    end

    Map.merge(
      %{on_provisional: nil, on_request: nil, authenticate: nil, max_authentications: 3},
      options |> Map.new() |> Map.put(:credentials, retry)
    )
  end

  defp retry!(nil), do: nil

  # What was got is not shown: it may hold a secret.
  defp retry!(credentials) do
    case Retry.new(credentials) do
      {:ok, retry} ->
        retry

      :error ->
        raise ArgumentError,
              "expected :credentials to be a list or a map of {realm, {username, secret}} or a function of one argument"
    end
  end

  defp good?(:timeout, value), do: value == :infinity or (is_integer(value) and value >= 0)
  defp good?(:max_authentications, value), do: is_integer(value) and value >= 0
  defp good?(:authenticate, value), do: is_function(value, 2)
  defp good?(_function, value), do: is_function(value, 1)

  defp kind(:timeout), do: "a number of milliseconds or :infinity"
  defp kind(:max_authentications), do: "a non-negative integer"
  defp kind(:authenticate), do: "a function of two arguments"
  defp kind(_function), do: "a function of one argument"

  @doc "Sends a request and waits."
  @spec run(Stack.t(), Message.request(), map) ::
          {:ok, Message.response()} | {:error, Sippet.request_error()}
  def run(stack, request, options) do
    validate!(request)
    if stack.sim, do: Sim.Server.admit!(stack.sim)
    deadline = deadline(stack, request.start_line.method, options)
    ask(%__MODULE__{stack: stack, options: options, deadline: deadline}, request, 0)
  end

  defp ask(waiting, request, asked) do
    case attempt(waiting, request) do
      {:final, %{start_line: %{status_code: status_code}} = response, false}
      when status_code in [401, 407] and asked < waiting.options.max_authentications ->
        case authenticate(waiting, request, response) do
          {:ok, next, waiting} -> ask_again(waiting, again(request, next), asked + 1)
          :error -> {:ok, response}
        end

      {:final, %{start_line: %{status_code: 487}}, why} when why != false ->
        {:error, why}

      {:final, response, _why} ->
        {:ok, response}

      {:error, reason} ->
        {:error, reason}
    end
  end

  defp authenticate(%{options: %{credentials: %Retry{} = retry}} = waiting, request, response) do
    with {:ok, next, retry} <- Retry.answer(retry, request, response),
         do: {:ok, next, %{waiting | options: %{waiting.options | credentials: retry}}}
  end

  defp authenticate(%{options: %{authenticate: nil}}, _request, _response), do: :error

  defp authenticate(%{options: %{authenticate: authenticate}} = waiting, request, response) do
    case authenticate.(request, response) do
      {:ok, next} -> {:ok, next, waiting}
      :error -> :error
      {:error, _reason} -> :error
      other -> refuse!("{:ok, request} or :error from :authenticate", other)
    end
  end

  defp ask_again(waiting, request, asked) do
    if expired?(waiting), do: {:error, :timeout}, else: ask(waiting, request, asked)
  end

  defp validate!(%Message{start_line: %{method: method}} = request)
       when method not in [:ack, :cancel] do
    with {:error, reason} <- Message.Validation.validate_for_sending(request) do
      raise ArgumentError, "expected :request argument to be a valid SIP message, #{reason}"
    end
  end

  defp validate!(other), do: refuse!("a request that is no ACK and no CANCEL", other)

  # The same request once more: a transaction of its own, next in order (§22.2, §8.1.3.5).
  defp again(request, next) do
    validate!(next)
    {number, method} = request.headers.cseq

    next
    |> Message.put_header(:cseq, {number + 1, method})
    |> Message.update_header_front(:via, fn {version, protocol, sent_by, parameters} ->
      {version, protocol, sent_by, Map.put(parameters, "branch", Message.create_branch())}
    end)
  end

  defp refuse!(expected, got),
    do: raise(ArgumentError, "expected #{expected}, got: #{inspect(got)}")

  defp deadline(stack, method, options) do
    default = if method == :invite, do: @invite_timeout_ms, else: :infinity

    case Map.get(options, :timeout, default) do
      :infinity -> :infinity
      timeout_ms -> now(stack) + timeout_ms
    end
  end

  defp now(%Stack{sim: nil}), do: System.monotonic_time(:millisecond)
  defp now(%Stack{sim: sim}), do: Sim.Server.now(sim)

  @doc "Tells a process that waits that there is something, or that its stack has stopped."
  @spec wake(Stack.t(), reference) :: :ok
  def wake(%Stack{sim: nil}, caller), do: wake_process(caller)
  def wake(%Stack{sim: sim}, caller), do: Sim.Server.ready(sim, {:wake, caller})

  @doc false
  @spec wake_process(reference) :: :ok
  def wake_process(caller) do
    send(caller, {caller, :wake})
    :ok
  end

  # One transaction: `{:final, response, why it was cancelled or false}` or `{:error, reason}`.
  defp attempt(waiting, request) do
    tell(waiting.options.on_request, request)
    caller = :erlang.alias()

    try do
      with {:ok, address} <- Router.request(waiting.stack, request, caller),
           do: await(%{waiting | request: request, caller: caller, address: address})
    after
      # From here on nothing comes, and what has come goes.
      :erlang.unalias(caller)
      flush(caller)
      if waiting.stack.sim, do: Sim.Server.forget(waiting.stack.sim, caller)
    end
  end

  defp flush(caller) do
    receive do
      {^caller, :wake} -> flush(caller)
    after
      0 -> :ok
    end
  end

  defp await(waiting) do
    loop(waiting)
  catch
    kind, reason ->
      abandon(waiting)
      :erlang.raise(kind, reason, __STACKTRACE__)
  end

  defp loop(%{caller: caller} = waiting) do
    patience = patience(waiting)

    receive do
      {^caller, :wake} -> collect(waiting)
    after
      patience ->
        if expired?(waiting),
          do: give_up(waiting, :timeout),
          else: collect(waiting)
    end
  end

  defp expired?(%{deadline: :infinity}), do: false
  defp expired?(%{deadline: deadline, stack: stack}), do: now(stack) >= deadline

  # A simulation wakes it at its deadline.
  defp patience(%{stack: %{sim: sim}} = waiting) when sim != nil do
    case Sim.Server.wait(sim, waiting.caller, waiting.deadline) do
      :ok -> @check_ms
      :expired -> 0
    end
  end

  defp patience(%{deadline: :infinity}), do: @check_ms

  defp patience(%{deadline: deadline, stack: stack}),
    do: (deadline - now(stack)) |> max(0) |> min(@check_ms)

  defp collect(%{stack: stack} = waiting) do
    case Native.engine_collect(stack.engine, waiting.address) do
      {:response, %{start_line: %{status_code: status_code}} = response, _cancelled, effects}
      when status_code < 200 ->
        Router.perform(stack, effects)

        case tell(waiting.options.on_provisional, response) do
          :cancel -> give_up(waiting, :cancelled)
          _ -> collect(waiting)
        end

      {:response, response, cancelled, effects} ->
        Router.perform(stack, effects)
        {:final, response, cancelled and (waiting.why || :cancelled)}

      {:failed, {:transport, reason}, _cancelled, effects} ->
        Router.perform(stack, effects)
        {:error, :erlang.binary_to_term(reason)}

      {:failed, reason, cancelled, effects} ->
        Router.perform(stack, effects)
        {:error, if(cancelled, do: waiting.why || :cancelled, else: reason)}

      {:nothing, effects} ->
        Router.perform(stack, effects)

        if Process.alive?(stack.supervisor), do: loop(waiting), else: {:error, :stopped}

      {:terminated, effects} ->
        Router.perform(stack, effects)
        {:error, :terminated}

      {:error, :stopped} ->
        {:error, :stopped}
    end
  end

  # An INVITE is cancelled, and its final response still awaited: the engine sees that it comes to an end (§9.1).
  defp give_up(%{request: %{start_line: %{method: :invite}}} = waiting, why) do
    why = waiting.why || why

    case Router.cancel(waiting.stack, Client.Key.new(waiting.request)) do
      {:error, :too_many_transactions} ->
        loop(%{waiting | why: why, deadline: now(waiting.stack) + @retry_ms})

      _ ->
        collect(%{waiting | why: why, deadline: :infinity})
    end
  end

  defp give_up(waiting, why) do
    abandon(waiting)
    {:error, why}
  end

  defp abandon(%{stack: stack, address: address}) do
    with {:ok, effects} <- Native.engine_abandon(stack.engine, address),
         do: Router.perform(stack, effects)
  end

  defp tell(nil, _message), do: :ok
  defp tell(function, message), do: function.(message)
end
