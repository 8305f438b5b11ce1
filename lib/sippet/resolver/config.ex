defmodule Sippet.Resolver.Config do
  # The options of Sippet.Resolver.DNS: one schema for their defaults, checks and docs.
  @moduledoc false

  # name, default, kind, what it is
  @options [
    {:nameservers, nil, :nameservers,
     "addresses or `{address, port}` of the servers to ask; nil, the default, for those of the system (`:inet_db`)"},
    {:timeout_ms, 5_000, :positive, "how long finding the targets of one URI may take in all"},
    {:query_timeout_ms, 600, :positive,
     "how long a server has before a question is sent again, by `:inet_res`, which doubles it each time: with `:retry` 2 a " <>
       "question that nobody answers takes three times that, and the next kind of record still has its time"},
    {:retry, 2, :positive, "how often a question is sent"},
    {:families, [:inet6, :inet], :families,
     "the order of address families; one that is left out is not asked for"},
    {:hosts, true, :boolean,
     "whether addresses are taken from the hosts file of the system first"},
    {:max_queries, 48, :positive, "look-ups for one URI"},
    {:max_records, 64, :positive, "records of an answer that are kept, the others are not seen"},
    {:max_targets, 32, :positive, "targets of one URI"},
    {:max_entries, 10_000, :positive,
     "answers that are kept; in a full cache the one that would end first goes"},
    {:max_pending, 512, :positive, "questions that may be under way at once"},
    {:min_ttl_ms, 1_000, :natural, "the least that an answer is kept for, whatever its TTL"},
    {:max_ttl_ms, 3_600_000, :natural, "the most that an answer is kept for"},
    {:negative_ttl_ms, 30_000, :natural,
     "how long it is kept that something is not there, where no SOA record says (RFC 2308 §5)"},
    {:max_negative_ttl_ms, 300_000, :natural, "the most that that is kept for"},
    {:failure_ttl_ms, 1_000, :natural,
     "how long it is kept that the servers failed or did not answer (RFC 2308 §7)"},
    {:random, nil, :function,
     "`random.(n)` returns one of 0 to n - 1, for the weights of SRV records; default `:rand`"}
  ]

  @doc "The options as a Markdown list."
  @spec docs() :: String.t()
  def docs do
    Enum.map_join(@options, "\n", fn
      {name, nil, _kind, text} -> "  * `:#{name}` - #{text}"
      {name, default, _kind, text} -> "  * `:#{name}` - #{text}; default `#{inspect(default)}`"
    end)
  end

  @doc "The options, checked, as a map."
  @spec new!(keyword) :: map
  def new!(options) do
    unless Keyword.keyword?(options) do
      raise ArgumentError,
            "expected the resolver's options to be a list, got: #{inspect(options)}"
    end

    known = Enum.map(@options, &elem(&1, 0))

    for {key, _value} <- options, key not in known do
      raise ArgumentError,
            "unknown option #{inspect(key)} of the resolver, known are: #{inspect(known)}"
    end

    Map.new(@options, fn {name, default, kind, _text} ->
      value = Keyword.get(options, name, default)

      case check(kind, value) do
        {:ok, value} ->
          {name, value}

        expected ->
          raise ArgumentError, "expected :#{name} to be #{expected}, got: #{inspect(value)}"
      end
    end)
  end

  defp check(:positive, n) when is_integer(n) and n > 0, do: {:ok, n}
  defp check(:positive, _n), do: "a positive integer"
  defp check(:natural, n) when is_integer(n) and n >= 0, do: {:ok, n}
  defp check(:natural, _n), do: "a non-negative integer"
  defp check(:boolean, value) when is_boolean(value), do: {:ok, value}
  defp check(:boolean, _value), do: "a boolean"
  defp check(:function, nil), do: {:ok, &(:rand.uniform(&1) - 1)}
  defp check(:function, random) when is_function(random, 1), do: {:ok, random}
  defp check(:function, _random), do: "a function of one argument"
  defp check(:nameservers, nil), do: {:ok, nil}

  defp check(:nameservers, [_ | _] = servers) do
    checked = Enum.map(servers, &nameserver/1)
    if :error in checked, do: check(:nameservers, :other), else: {:ok, checked}
  end

  defp check(:nameservers, _other), do: "a list of addresses or {address, port}, or nil"

  defp check(:families, families)
       when families in [[:inet], [:inet6], [:inet, :inet6], [:inet6, :inet]],
       do: {:ok, families}

  defp check(:families, _other), do: "a list of :inet and :inet6"

  defp nameserver({address, port}) when is_tuple(address) and port in 1..65_535 do
    if :inet.is_ip_address(address), do: {address, port}, else: :error
  end

  defp nameserver(address),
    do: if(:inet.is_ip_address(address), do: {address, 53}, else: :error)
end
