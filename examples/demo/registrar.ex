defmodule Demo.Registrar do
  @moduledoc """
  Who can be reached where (§10.3): bindings in memory, in one process, so that a REGISTER is done as a whole or not at all.
  """

  use Agent

  alias Sippet.{Message, URI}

  @default_seconds 3_600
  @max_users 10_000
  @max_bindings 10

  def start_link(_options), do: Agent.start_link(fn -> %{} end, name: __MODULE__)

  @doc """
  Carries out a REGISTER: `{:ok, contacts}` with what is bound then, or `{:error, status_code}` and nothing has changed.
  """
  def register(%Message{} = request) do
    # What is kept must not hold on to the datagram.
    request = Message.copy(request)
    now = System.monotonic_time(:second)
    Agent.get_and_update(__MODULE__, &register(&1, request, now))
  end

  defp register(users, request, now) do
    {_name, uri, _parameters} = request.headers.to
    user = {uri.userinfo, String.downcase(uri.host)}
    bindings = users |> Map.get(user, []) |> Enum.filter(&(&1.until > now))

    with {:ok, bindings} <- update(bindings, request, now),
         {:ok, users} <- put(users, user, bindings, now) do
      {{:ok, Enum.map(bindings, &contact(&1, now))}, users}
    else
      {:error, status_code} -> {{:error, status_code}, users}
    end
  end

  defp update(bindings, %{headers: %{contact: "*", expires: 0}} = request, _now) do
    if Enum.any?(bindings, &outdated?(request, &1)), do: {:error, 500}, else: {:ok, []}
  end

  defp update(_bindings, %{headers: %{contact: "*"}}, _now), do: {:error, 400}

  defp update(bindings, %{headers: %{contact: contacts}} = request, now) do
    Enum.reduce_while(contacts, {:ok, bindings}, fn contact, {:ok, bindings} ->
      case bind(bindings, contact, request, now) do
        {:ok, bindings} -> {:cont, {:ok, bindings}}
        error -> {:halt, error}
      end
    end)
  end

  # Without a Contact it is a question. One that could not be read is none.
  defp update(bindings, request, _now) do
    if Enum.any?(request.defects, &(&1.header == :contact)),
      do: {:error, 400},
      else: {:ok, bindings}
  end

  defp bind(bindings, {_name, uri, parameters} = contact, request, now) do
    {same, others} = Enum.split_with(bindings, &URI.equivalent(&1.uri, uri))
    seconds = seconds(parameters, request)

    cond do
      Enum.any?(same, &outdated?(request, &1)) ->
        {:error, 500}

      seconds == 0 ->
        {:ok, others}

      length(others) >= @max_bindings ->
        {:error, 403}

      true ->
        %{call_id: call_id, cseq: {cseq, _method}} = request.headers

        binding = %{
          uri: uri,
          contact: contact,
          until: now + seconds,
          call_id: call_id,
          cseq: cseq
        }

        {:ok, [binding | others]}
    end
  end

  # A REGISTER that was overtaken by a later one of the same client.
  defp outdated?(%{headers: %{call_id: call_id, cseq: {cseq, _method}}}, binding),
    do: binding.call_id == call_id and binding.cseq >= cseq

  # A value that is none counts as the default (§10.2.1.1); longer than that we do not promise.
  defp seconds(parameters, request) do
    with {:ok, text} <- Map.fetch(parameters, "expires"),
         {seconds, ""} when seconds >= 0 <- Integer.parse(text) do
      min(seconds, @default_seconds)
    else
      :error -> request |> Message.get_header(:expires, @default_seconds) |> min(@default_seconds)
      _no_number -> @default_seconds
    end
  end

  defp put(users, user, [], _now), do: {:ok, Map.delete(users, user)}

  defp put(users, user, bindings, now) when map_size(users) >= @max_users do
    users = Map.filter(users, fn {_user, bindings} -> Enum.any?(bindings, &(&1.until > now)) end)

    if map_size(users) < @max_users or is_map_key(users, user),
      do: {:ok, Map.put(users, user, bindings)},
      else: {:error, 503}
  end

  defp put(users, user, bindings, _now), do: {:ok, Map.put(users, user, bindings)}

  defp contact(%{contact: {name, uri, parameters}, until: until}, now),
    do: {name, uri, Map.put(parameters, "expires", Integer.to_string(until - now))}
end
