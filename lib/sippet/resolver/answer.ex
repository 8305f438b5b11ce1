defmodule Sippet.Resolver.Answer do
  # What a name server said, as much of it as counts, and for how long. Called by the processes that ask, of
  # Sippet.Resolver.DNS.
  @moduledoc false

  alias Sippet.Resolver.{Name, Selection}

  # An alias of an alias ...; a loop ends here too.
  @max_aliases 8

  # OTP 27 gives up at once a try that it has less time for; the first has the whole divided by their number.
  @min_try_ms 50

  @type type :: :naptr | :srv | :a | :aaaa
  @type naptr :: %{
          order: 0..65_535,
          preference: 0..65_535,
          flags: String.t(),
          service: String.t(),
          regexp?: boolean,
          replacement: String.t()
        }
  @typedoc """
  `{:alias, name}` is a CNAME whose target the answer did not have. Records are in the order of the answer, addresses as
  tuples.
  """
  @type t ::
          {:ok, [naptr | Selection.srv() | :inet.ip_address(), ...]}
          | {:alias, String.t()}
          | {:error, :nxdomain | :no_records | :timeout | :server_failure}

  @doc """
  Asks for the records of a name; blocks for `:timeout_ms` at most. Returns the answer and the seconds that it is good for,
  nil where it did not say.
  """
  @spec ask(type, String.t(), map) :: {t, non_neg_integer | nil}
  def ask(type, name, config) do
    timeout = max(config.query_timeout_ms, @min_try_ms * config.retry)
    options = [timeout: timeout, retry: config.retry]

    options =
      if config.nameservers, do: [nameservers: config.nameservers] ++ options, else: options

    deadline = System.monotonic_time(:millisecond) + config.timeout_ms

    name
    |> resolve(type, options, deadline)
    |> read(type, name, config.max_records)
  catch
    # A message that inet_dns, or this module, is not made for must not cost more than itself.
    _kind, _reason -> {{:error, :server_failure}, nil}
  end

  # OTP 27 takes an answer that says it is truncated, and has no half a record at its end, for malformed, and does not go on
  # to TCP.
  defp resolve(name, type, options, deadline) do
    with {:error, :formerr} <- resolve_by(name, type, options, deadline),
         do: resolve_by(name, type, [usevc: true] ++ options, deadline)
  end

  defp resolve_by(name, type, options, deadline) do
    left = max(deadline - System.monotonic_time(:millisecond), 0)
    :inet_res.resolve(String.to_charlist(name), :in, type, options, left)
  end

  @doc false
  @spec read(term, type, String.t(), pos_integer) :: {t, non_neg_integer | nil}
  def read({:ok, message}, type, name, max_records) do
    records = message |> section(:anlist) |> Enum.filter(&(&1[:class] == :in))
    {name, ttl} = owner(records, name, nil, @max_aliases)

    found =
      records
      |> Enum.filter(&(&1[:type] == type and same?(&1[:domain], name)))
      |> Enum.take(max_records)

    cond do
      found != [] ->
        values = for record <- found, value = value(type, record[:data]), value != nil, do: value
        ttl = Enum.reduce(found, ttl, &least(ttl(&1), &2))
        {if(values == [], do: {:error, :no_records}, else: {:ok, values}), ttl}

      ttl == nil ->
        {{:error, :no_records}, negative_ttl(message)}

      name == :loop ->
        {{:error, :server_failure}, nil}

      # An empty answer behind an alias, of a server that followed it: it says whose zone has nothing.
      section(message, :nslist) != [] and negative_ttl(message) != nil ->
        {{:error, :no_records}, least(ttl, negative_ttl(message))}

      true ->
        {{:alias, name}, ttl}
    end
  end

  def read({:error, {:nxdomain, message}}, _type, _name, _max),
    do: {{:error, :nxdomain}, negative_ttl(message)}

  def read({:error, :nxdomain}, _type, _name, _max), do: {{:error, :nxdomain}, nil}
  def read({:error, :timeout}, _type, _name, _max), do: {{:error, :timeout}, nil}
  def read({:error, {:timeout, _}}, _type, _name, _max), do: {{:error, :timeout}, nil}
  def read({:error, _reason}, _type, _name, _max), do: {{:error, :server_failure}, nil}

  # Only what belongs to the name that was asked for counts, whatever else is in the answer.
  defp owner(records, name, ttl, left) do
    case Enum.find(records, &(&1[:type] == :cname and same?(&1[:domain], name))) do
      nil ->
        {name, ttl}

      _alias when left == 0 ->
        {:loop, ttl}

      record ->
        case name(record[:data]) do
          {:ok, target} -> owner(records, target, least(ttl(record), ttl), left - 1)
          :error -> {:loop, least(ttl(record), ttl)}
        end
    end
  end

  defp same?(_domain, :loop), do: false
  defp same?(domain, name), do: name(domain) == {:ok, name}

  defp name(domain), do: domain |> bytes() |> Name.normalise()

  # Text in DNS is bytes, which inet_dns may have taken for UTF-8.
  defp bytes(charlist), do: charlist |> :unicode.characters_to_binary() |> IO.iodata_to_binary()

  defp value(:a, {_, _, _, _} = address), do: address
  defp value(:aaaa, {_, _, _, _, _, _, _, _} = address), do: address
  defp value(:srv, {_priority, _weight, _port, target}) when target in [~c"", ~c"."], do: :root

  # Nothing is sent to port 0.
  defp value(:srv, {_priority, _weight, 0, _target}), do: nil

  defp value(:srv, {priority, weight, port, target}) do
    with {:ok, target} <- name(target), do: {priority, weight, port, target}, else: (_ -> nil)
  end

  defp value(:naptr, {order, preference, flags, service, regexp, replacement}) do
    replacement =
      case name(replacement) do
        {:ok, replacement} -> replacement
        :error -> ""
      end

    %{
      order: order,
      preference: preference,
      flags: flags |> bytes() |> String.downcase(:ascii),
      service: service |> bytes() |> String.upcase(:ascii),
      regexp?: bytes(regexp) != "",
      replacement: replacement
    }
  end

  defp section(message, name), do: for(rr <- :inet_dns.msg(message, name), do: :inet_dns.rr(rr))

  # RFC 2308 §5.
  defp negative_ttl(message) do
    Enum.find_value(section(message, :nslist), fn record ->
      case record[:data] do
        {_mname, _rname, _serial, _refresh, _retry, _expire, minimum} when is_integer(minimum) ->
          if record[:type] == :soa, do: least(ttl(record), minimum)

        _ ->
          nil
      end
    end)
  end

  # One with the highest bit set counts as 0 (RFC 2181 §8).
  defp ttl(record) do
    case record[:ttl] do
      ttl when ttl in 0..0x7FFFFFFF -> ttl
      _ -> 0
    end
  end

  defp least(a, nil), do: a
  defp least(a, b), do: min(a, b)
end
